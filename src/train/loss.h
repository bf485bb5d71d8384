/* Softmax cross-entropy with class weights, item weights, label smoothing and mixed labels, as PyTorch's CrossEntropyLoss.
 *
 * Item i has logits z, class y, item weight u (1 by default), and class weights w (1 by default), C classes, smoothing s.
 *
 *     l_i = (1 - s) w_y (-log p_y) + (s / C) sum_c w_c (-log p_c),  log p_c = z_c - log sum_k exp(z_k)
 *     loss = sum_i u_i l_i / sum_i u_i w_{y_i}
 *
 * That is PyTorch's mean with u = 1. A mixed item (mixup) has two classes, y with share m and y2 with share 1 - m: its l and its weight
 * are the same mixture of the two classes' l and w. The denominator belongs to the whole batch and is known before the first ghost
 * batch runs.
 *
 * With several labels (targets given), the mean of C yes-or-no questions, as PyTorch's BCEWithLogitsLoss with pos_weight w:
 *
 *     l_i = (1 / C) sum_c [ w_c t_c (-log sigmoid(z_c)) + (1 - t_c) (-log(1 - sigmoid(z_c))) ],  t = (1 - s) t + s / 2
 *     loss = sum_i u_i l_i / sum_i u_i
 *
 * Smoothing moves a target towards one half (as Keras's BinaryCrossentropy has it); a mixed item's targets are the mixture of the two. */
#ifndef RN_TRAIN_LOSS_H
#define RN_TRAIN_LOSS_H

typedef struct rn_loss_options {
    int classes;
    const double *class_weights; /* [classes] or NULL */
    double smoothing;            /* 0..1 */
} rn_loss_options;

/* The targets of n items; labels2 and share are NULL without mixup. */
typedef struct rn_targets {
    const int *labels;    /* [n] */
    const float *weights; /* [n] item weights, or NULL */
    const int *labels2;   /* [n] the partner's class */
    const double *share;  /* [n] share of `labels`, 0..1 */
    const float *targets; /* [n][classes] with several labels, mixed already: labels, labels2 and share are not read; else NULL */
} rn_targets;

/* sum_i u_i w_i of n items (with several labels sum_i u_i), in item order in double. */
double rn_loss_weight(const rn_loss_options *options, const rn_targets *targets, int n);

typedef struct rn_loss {
    double sum;  /* sum_i u_i l_i, not yet divided */
    int correct; /* items whose largest logit (the first of equals) is the class with the larger share; with several labels, those of which
                    every logit is above 0 exactly where its target is above one half */
} rn_loss;

/* Adds n items to *loss, in order, and writes the gradient of sum / denominator by the logits into dlogits [n][classes] (NULL: not wanted).
 * Everything is computed in double, classes in order, and rounded once per gradient. */
void rn_loss_run(const rn_loss_options *options, const rn_targets *targets, int n, const float *logits, double denominator, float *dlogits,
                 rn_loss *loss);

#endif
