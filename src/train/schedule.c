/* Learning rate and averaging schedules (formulas in schedule.h). cos is base/maths.h's, so that every machine takes the same steps. */
#include "train/schedule.h"

#include <math.h>

#include "base/maths.h"

int64_t rn_schedule_warmup(const rn_train_options *options, int64_t steps)
{
    if (options->warmup_steps > 0)
        return options->warmup_steps;
    return options->warmup_epochs > 0 ? (int64_t)floor(options->warmup_epochs * (double)steps + 0.5) : 0;
}

double rn_schedule_lr(const rn_train_options *options, int64_t steps, int64_t step)
{
    int64_t warmup = rn_schedule_warmup(options, steps), total = (int64_t)options->epochs * steps;
    if (step < warmup)
        return options->lr * (double)(step + 1) / (double)warmup;
    switch (options->schedule) {
    case RN_COSINE: {
        double t = (double)(step - warmup), whole = (double)(total - warmup);
        double at = whole > 0 && t < whole ? t / whole : 1;
        double shape = 0.5 * (1 + rn_cos(3.14159265358979323846 * at));
        return options->lr * (options->lr_end + (1 - options->lr_end) * shape);
    }
    case RN_STEP: {
        int64_t every = (int64_t)floor(options->step_epochs * (double)steps + 0.5), k = 0;
        double lr = options->lr;
        while (k < options->milestones_count && (int64_t)floor(options->milestones[k] * (double)steps + 0.5) <= step)
            k++;
        if (!options->milestones_count)
            k = step / (every > 0 ? every : 1);
        for (; k > 0 && lr != 0; k--)
            lr *= options->step_factor;
        return lr;
    }
    default:
        return options->lr;
    }
}

double rn_schedule_ema(double ema, int64_t t)
{
    double early = (double)(1 + t) / (double)(10 + t);
    return early < ema ? early : ema;
}
