/* What a model's numbers look like. */
#ifndef RN_API_WEIGHTS_H
#define RN_API_WEIGHTS_H

#include <jansson.h>
#include "models/model.h"

/* New references, or NULL without memory: an object for every array of the network in order of execution, and what is wrong with them, as
 * rn_tools_model describes both. */
json_t *rn_weights_describe(const rn_model *model);
json_t *rn_weights_warn(const rn_model *model);

#endif
