/* Running the training plan. */
#ifndef RN_GRAPH_LEARN_RUN_H
#define RN_GRAPH_LEARN_RUN_H

#include "graph/learn_plan.h"

void rn_learn_step_forward(rn_learn *e, const rn_learn_step *s);
/* The convolutions of a merge's block once more, into the places that the way back reads. */
void rn_learn_block_again(rn_learn *e, const rn_learn_step *merge);
void rn_learn_step_backward(rn_learn *e, const rn_learn_step *s);

#endif
