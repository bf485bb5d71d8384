/* The table of recipes.
 *
 * He et al., "Deep Residual Learning for Image Recognition" (2015), https://arxiv.org/abs/1512.03385. Section 4.2, CIFAR: weights of He et al.
 * (2015b), SGD of momentum 0.9, weight decay 1e-4, batches of 128 on two GPUs (each with BN statistics of its own: ghost batches of 64), rate 0.1,
 * divided by 10 after 32k and 48k of 64k steps. 50,000 pictures in batches of 128 are 391 steps: 164 epochs, with divisions after 82 and 123.
 * Section 3.4, ImageNet: batches of 256 (ghost batches of 32, as on eight GPUs), rate 0.1, "divided by 10 when the error plateaus", up to 600k
 * steps: 120 epochs of 1.28 million pictures, here with divisions every 30. In their solver as in Torch's, weight decay is on everything.
 *
 * torchvision: the defaults of references/classification/train.py as its README runs ResNets, on eight GPUs with 32 each; 90 epochs, a tenth
 * every 30. https://github.com/pytorch/vision/tree/main/references/classification
 *
 * Augmentation of pictures: 4 pixels of padding and a random crop (CIFAR), a random crop of random size (ImageNet as torchvision and most have it since;
 * the paper drew the scale of the shorter side and shifted colours along their principal axes), mirror images. Other data pass it over. */
#include "train/recipes.h"

#include <stddef.h>
#include <string.h>

#define SGD                                                                                                                                \
    {"optimiser", "sgd"}, {"momentum", "0.9"}, {"nesterov", "false"}, {"weight_decay", "1e-4"},                                            \
    {                                                                                                                                      \
        "decay_all", "true"                                                                                                                \
    }
#define PLAIN                                                                                                                              \
    {"warmup_epochs", "0"}, {"warmup_steps", "0"}, {"label_smoothing", "0"}, {"clip", "0"}, {"ema", "0"},                                  \
    {                                                                                                                                      \
        "init_weights", "he"                                                                                                               \
    }

static const rn_recipe recipes[] = {
    {"he-cifar",
     "He et al. (2015), section 4.2",
     {{"epochs", "164"},
      {"batch", "128"},
      {"ghost_batch", "64"},
      SGD,
      {"lr", "0.1"},
      {"schedule", "step"},
      {"milestones", "82,123"},
      {"step_factor", "0.1"},
      {"augment.pad", "4"},
      {"augment.resized_crop", "0"},
      {"augment.flip", "0.5"},
      PLAIN}},
    {"he-imagenet",
     "He et al. (2015), section 3.4",
     {{"epochs", "120"},
      {"batch", "256"},
      {"ghost_batch", "32"},
      SGD,
      {"lr", "0.1"},
      {"schedule", "step"},
      {"milestones", "30,60,90"},
      {"step_factor", "0.1"},
      {"augment.resized_crop", "0.08"},
      {"augment.pad", "0"},
      {"augment.flip", "0.5"},
      PLAIN}},
    {"torchvision",
     "torchvision, references/classification",
     {{"epochs", "90"},
      {"batch", "256"},
      {"ghost_batch", "32"},
      SGD,
      {"lr", "0.1"},
      {"schedule", "step"},
      {"milestones", "30,60"},
      {"step_factor", "0.1"},
      {"augment.resized_crop", "0.08"},
      {"augment.pad", "0"},
      {"augment.flip", "0.5"},
      PLAIN}},
};

const rn_recipe *rn_recipe_at(int index)
{
    return index >= 0 && index < (int)(sizeof recipes / sizeof *recipes) ? &recipes[index] : NULL;
}

const rn_recipe *rn_recipe_find(const char *name)
{
    for (int i = 0; rn_recipe_at(i); i++)
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
    return NULL;
}
