/* Inside src/train: the sections of a run's options that belong to media, which reads and writes them whole. */
#ifndef RN_TRAIN_SECTIONS_H
#define RN_TRAIN_SECTIONS_H

#include "train/options.h"

/* Sets what `section` has of "features", "pictures" or "augment", merged key by key with what the options hold. */
int rn_section_set(rn_train_options *o, const char *name, const json_t *section, const char *file, rn_error *err);
/* "augment" as this kind of data has it; new reference, NULL without memory. */
json_t *rn_section_augment(const rn_train_options *o, rn_kind kind);

/* Text that stands for a number or a truth value becomes one; anything else stays. New reference. */
json_t *rn_option_typed(const json_t *value);

#endif
