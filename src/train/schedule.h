/* The learning rate of a step, in double: a pure function of the options and the step's number. */
#ifndef RN_TRAIN_SCHEDULE_H
#define RN_TRAIN_SCHEDULE_H

#include <stdint.h>
#include "train/options.h"

/* step counts from 0 over the whole run; steps is one epoch's. Warm-up: steps 0 .. w-1 take lr (step + 1) / w. Afterwards, with
 * t = step - w and T = epochs * steps - w:
 *     cosine    lr (e + (1 - e) (1 + cos(pi t / T)) / 2),  e = lr_end
 *     step      lr f^k,  k = floor(step / (step_epochs * steps))  (counted from the run's first step)
 *               with milestones m, in epochs: k = how many have floor(m * steps + 1/2) <= step
 *     constant  lr */
double rn_schedule_lr(const rn_train_options *options, int64_t steps, int64_t step);

/* Warm-up steps that the options ask for. */
int64_t rn_schedule_warmup(const rn_train_options *options, int64_t steps);

/* Decay of averaged weights at update t (from 0): min(ema, (1 + t) / (10 + t)). */
double rn_schedule_ema(double ema, int64_t t);

#endif
