/* Two runs side by side, from their logs.
 *
 * They are compared when both have seen equally many training items, which is the same epoch where their training parts are equally large, whatever
 * their batches; between two epochs of the other run its figure is taken from the straight line. Two accuracies count as level if chance
 * explains the difference: |p - q| <= 2 sqrt(p (1 - p) / n + q (1 - q) / m), with a right and a wrong item added to each (Agresti and Caffo
 * 2000), so that 100 % of a few items is not taken for certain. Both are mostly judged on the same items, so this errs on the side of "level".
 * Losses have no such measure: they are level within 5 %. */
#include "compare.h"

#include <math.h>
#include <string.h>

#include "cli.h"

int compare_start(comparison *c, const char *other, const char *own, rn_error *err)
{
    memset(c, 0, sizeof *c);
    run_log_start(&c->other, other);
    run_log_start(&c->own, own);
    int status = run_log_read(&c->other, err);
    if (!status && !c->other.epochs_count) {
        status = err->code = RN_ERR_DATA;
        snprintf(err->text, sizeof err->text,
                 "%.400s/log.jsonl has no whole epoch to compare with: let that run finish one, or name another run with --compare", other);
    }
    return status;
}

void compare_free(comparison *c)
{
    run_log_free(&c->other);
    run_log_free(&c->own);
}

static double figure(const log_epoch *e, int by_loss)
{
    return by_loss ? e->loss : e->validation;
}

static int has_validation(const run_log *log)
{
    return log->epochs_count && !isnan(log->epochs[log->epochs_count - 1].validation);
}

/* The other run's figure after so many epochs of its own. */
static double figure_at(const run_log *log, double epochs, int by_loss)
{
    const log_epoch *e = log->epochs;
    int i = 0;
    while (i < log->epochs_count && e[i].epoch < epochs - 1e-9)
        i++;
    if (i == log->epochs_count)
        return figure(&e[i - 1], by_loss);
    if (e[i].epoch <= epochs + 1e-9)
        return figure(&e[i], by_loss);
    if (i == 0)
        return NAN;
    double share = (epochs - e[i - 1].epoch) / (e[i].epoch - e[i - 1].epoch);
    return figure(&e[i - 1], by_loss) + share * (figure(&e[i], by_loss) - figure(&e[i - 1], by_loss));
}

static double best_figure(const run_log *log, int by_loss)
{
    double best = NAN;
    for (int i = 0; i < log->epochs_count; i++) {
        double f = figure(&log->epochs[i], by_loss);
        if (isnan(best) || (by_loss ? f < best : f > best))
            best = f;
    }
    return best;
}

static double variance(double p, int n)
{
    double q = (p * n + 1) / (n + 2);
    return q * (1 - q) / (n + 2);
}

static const char *judge(const comparison *c, double own, double other, int by_loss)
{
    int n = c->own.validation, m = c->other.validation ? c->other.validation : n;
    double better = by_loss ? other - own : own - other;
    double chance = by_loss ? 0.05 * fabs(other) : n > 0 ? 2 * sqrt(variance(own, n) + variance(other, m)) : 0;
    return fabs(better) <= chance ? "level" : better > 0 ? "ahead" : "behind";
}

int compare_epoch(comparison *c, verdict *v, rn_error *err)
{
    rn_error ignored;
    int status = run_log_read(&c->own, err);
    if (status)
        return status;
    run_log_read(&c->other, &ignored); /* it may go on as well; what was read stays */
    memset(v, 0, sizeof *v);
    v->own = v->other = v->best = NAN;
    if (!c->own.epochs_count || !c->other.epochs_count)
        return 0;
    const log_epoch *last = &c->own.epochs[c->own.epochs_count - 1];
    double epochs = last->epoch;
    if (c->own.train && c->other.train)
        epochs *= (double)c->own.train / c->other.train;
    v->by_loss = !has_validation(&c->own) || !has_validation(&c->other);
    v->own = figure(last, v->by_loss);
    v->other = figure_at(&c->other, epochs, v->by_loss);
    v->best = best_figure(&c->other, v->by_loss);
    v->past = epochs > c->other.epochs[c->other.epochs_count - 1].epoch + 1e-9;
    if (isnan(v->own) || isnan(v->other))
        return 0;
    v->word = judge(c, v->own, v->other, v->by_loss);
    c->ahead += v->word[0] == 'a';
    c->behind += v->word[0] == 'b';
    c->level += v->word[0] == 'l';
    return 0;
}

void compare_notes(comparison *c, void (*say)(const char *format, ...))
{
    rn_error ignored;
    const run_log *a = &c->own, *b = &c->other;
    if (run_log_read(&c->own, &ignored))
        return;
    if (a->digest[0] && b->digest[0] && strcmp(a->digest, b->digest))
        say("--compare %s: it was trained on another split or other data; what differs may come from there", b->folder);
    if (a->epochs_planned && b->epochs_planned && a->epochs_planned != b->epochs_planned)
        say("--compare %s: it was to train for %d epochs, this run for %d: a schedule that falls with the epochs is at different rates",
            b->folder, b->epochs_planned, a->epochs_planned);
    if (a->train && b->train && a->train != b->train)
        say("--compare %s: its epochs have %d items, here they have %d: compared after equally many items", b->folder, b->train, a->train);
}

void compare_print_end(const comparison *c)
{
    int by_loss = !has_validation(&c->own) || !has_validation(&c->other);
    double own = best_figure(&c->own, by_loss), other = best_figure(&c->other, by_loss);
    if (isnan(own) || isnan(other))
        return;
    if (by_loss)
        printf("compare   lowest loss %.3f, %s %.3f: %s", own, c->other.folder, other, judge(c, own, other, 1));
    else
        printf("compare   best validation %.1f %%, %s %.1f %%: %s", 100 * own, c->other.folder, 100 * other, judge(c, own, other, 0));
    printf("   on the way: ahead in %d, level in %d, behind in %d epochs\n", c->ahead, c->level, c->behind);
}
