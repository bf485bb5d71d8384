/* PyTorch's weight files (.pth, .pt): what torch.save wrote of a state_dict, read without Python and without running anything. */
#ifndef RN_FORMATS_PTH_H
#define RN_FORMATS_PTH_H

#include "formats/tensors.h"

/* 1 if the first bytes of a file are those of anything that torch.save ever wrote; 16 are enough. */
int rn_pth_known(const void *head, size_t size);

/* The tensors of the file's dictionary of tensors, in its order. Where a checkpoint holds several things, that is the first of
 * "state_dict_ema", "model_ema", "state_dict", "model" ... whose values are all tensors; wrappers' prefixes are taken off the names
 * (rn_tensors_strip). Data that lie row by row are pointed at in the file, others are copied. Metadata: "pth.dictionary", where it was
 * found ("state_dict"; "" for the file's own), and "pth.not_read", names of what else the pickle would call, separated by commas.
 * `name` stands for the file in messages.
 *
 * Refused by name: whole modules, TorchScript, big-endian files, dtypes that rn_dtype has not, anything whose sizes do not agree. */
int rn_pth_read(const char *path, rn_tensors *out, rn_error *err);
int rn_pth_parse(const char *name, const void *data, size_t size, rn_tensors *out, rn_error *err); /* `data` must outlive the tensors */

#endif
