/* resnet.config, and labels as JSON and as texts: models/config.c, for model.c and foreign.c. */
#ifndef RN_MODELS_CONFIG_H
#define RN_MODELS_CONFIG_H

#include "models/model.h"

/* resnet.config itself, an object, the caller's; RN_ERR_UNSUPPORTED if there is none, RN_ERR_FORMAT if it is not JSON. */
int rn_config_read(const char *name, const rn_tensors *tensors, json_t **config, rn_error *err);

/* [classes] copies of an array of texts: as many as classes, none empty, none twice. Freed by rn_labels_free. */
int rn_labels_read(const char *name, const json_t *json, int classes, char ***out, rn_error *err);
/* labels NULL: "0", "1", ... Returns NULL if a label is not UTF-8 or memory is short. */
json_t *rn_labels_json(const char *const *labels, int classes);
void rn_labels_free(char ***labels, int classes);

#endif
