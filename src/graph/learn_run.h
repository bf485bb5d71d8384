/* Running the training plan. */
#ifndef RN_GRAPH_LEARN_RUN_H
#define RN_GRAPH_LEARN_RUN_H

#include "graph/learn_plan.h"

void rn_learn_step_forward(rn_learn *e, const rn_learn_step *s);
void rn_learn_step_backward(rn_learn *e, const rn_learn_step *s);

#endif
