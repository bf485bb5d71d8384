/* Inside src/data: recordings of noise, decoded once and mixed into training samples. */
#ifndef RN_DATA_NOISE_H
#define RN_DATA_NOISE_H

#include "data/supply.h"

/* The files of a folder that hold sound (not of its sub-folders), in byte order, the first 60 s of each. An error if there is none. */
int rn_noise_read(const char *folder, int rate, int channel, rn_noise **noises, int *count, rn_error *err);
void rn_noise_free(rn_noise *noises, int count);

#endif
