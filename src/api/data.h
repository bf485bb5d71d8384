/* The public data set: the internal one, and what it was opened with. */
#ifndef RN_API_DATA_H
#define RN_API_DATA_H

#include "data/dataset.h"

struct rn_data {
    rn_dataset *dataset;
};

#endif
