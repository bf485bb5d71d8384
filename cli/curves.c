/* A grid of 2 x 4 dots to the character (Unicode's Braille patterns, U+2800 and the dots as bits), joined from point to point; without UTF-8
 * a grid of characters. Every curve's letter stands at its end. */
#include "curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 9, COLUMNS_MOST = 200, ROWS_MOST = 40 };

typedef struct area {
    int columns, rows, dots;
    double x0, x1, y0, y1;
    unsigned char bits[ROWS_MOST][COLUMNS_MOST];
    char letters[ROWS_MOST][COLUMNS_MOST];
} area;

static void find_range(const curve *curves, int count, area *a)
{
    a->x0 = 0;
    a->x1 = a->y1 = -INFINITY;
    a->y0 = INFINITY;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < curves[k].count; i++)
            if (!isnan(curves[k].y[i])) {
                a->x1 = fmax(a->x1, curves[k].x[i]);
                a->y0 = fmin(a->y0, curves[k].y[i]);
                a->y1 = fmax(a->y1, curves[k].y[i]);
            }
    if (a->y1 <= a->y0) { /* a level curve in the middle */
        double by = a->y0 != 0 ? fabs(a->y0) / 2 : 1;
        a->y0 -= by;
        a->y1 += by;
    }
    if (a->x1 <= a->x0)
        a->x1 = a->x0 + 1;
}

/* Dot (x, y) of the fine grid, y downwards. */
static void set_dot(area *a, int x, int y, char letter)
{
    static const unsigned char bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (a->dots)
        a->bits[y / 4][x / 2] |= bit[y % 4][x % 2];
    else
        a->letters[y][x] = letter;
}

static void draw_line(area *a, int x0, int y0, int x1, int y1, char letter)
{
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; i++)
        set_dot(a, x0 + (steps ? (x1 - x0) * i / steps : 0), y0 + (steps ? (y1 - y0) * i / steps : 0), letter);
}

static void draw_curve(area *a, const curve *c)
{
    int wide = a->columns * (a->dots ? 2 : 1), high = a->rows * (a->dots ? 4 : 1), before = 0, x0 = 0, y0 = 0;
    for (int i = 0; i < c->count; i++) {
        if (isnan(c->y[i])) {
            before = 0;
            continue;
        }
        int x = (int)floor((c->x[i] - a->x0) / (a->x1 - a->x0) * (wide - 1) + 0.5);
        int y = (int)floor((a->y1 - c->y[i]) / (a->y1 - a->y0) * (high - 1) + 0.5);
        x = x < 0 ? 0 : x;
        if (before)
            draw_line(a, x0, y0, x, y, c->letter);
        else
            set_dot(a, x, y, c->letter);
        before = 1;
        x0 = x;
        y0 = y;
    }
    if (before)
        a->letters[a->dots ? y0 / 4 : y0][a->dots ? x0 / 2 : x0] = c->letter;
}

static void print_cell(FILE *out, const area *a, int row, int column)
{
    unsigned bits = a->bits[row][column];
    if (a->letters[row][column])
        fputc(a->letters[row][column], out);
    else if (bits)
        fprintf(out, "\xe2%c%c", (char)(0xa0 | bits >> 6), (char)(0x80 | (bits & 0x3f)));
    else
        fputc(' ', out);
}

/* Blanks at a line's end are left out. */
static void print_row(FILE *out, const area *a, int row)
{
    int end = a->columns;
    while (end > 0 && !a->letters[row][end - 1] && !a->bits[row][end - 1])
        end--;
    for (int column = 0; column < end; column++)
        print_cell(out, a, row, column);
    fputc('\n', out);
}

static void print_legend(FILE *out, const plot *p, const curve *curves, int count)
{
    fprintf(out, "%*s", LABEL + 1, "");
    for (int k = 0; k < count; k++) {
        int last = curves[k].count - 1;
        while (last >= 0 && isnan(curves[k].y[last]))
            last--;
        fprintf(out, "%s%c %s", k ? "   " : "", curves[k].letter, curves[k].name);
        if (last >= 0)
            fprintf(out, " %.3g%s", curves[k].y[last], p->unit);
    }
    fputc('\n', out);
}

void plot_print(FILE *out, const plot *p, const curve *curves, int count)
{
    area *a = calloc(1, sizeof *a);
    if (!a)
        return;
    a->dots = p->dots;
    a->columns = p->columns - LABEL - 1;
    a->columns = a->columns < 10 ? 10 : a->columns > COLUMNS_MOST ? COLUMNS_MOST : a->columns;
    a->rows = p->rows < 3 ? 3 : p->rows > ROWS_MOST ? ROWS_MOST : p->rows;
    find_range(curves, count, a);
    if (isfinite(a->y0) && isfinite(a->y1)) {
        for (int k = 0; k < count; k++)
            draw_curve(a, &curves[k]);
        fprintf(out, "%s\n", p->title);
        for (int row = 0; row < a->rows; row++) {
            int marked = row == 0 || row == a->rows - 1 || row == a->rows / 2;
            char label[32] = "";
            if (marked)
                snprintf(label, sizeof label, "%.3g%s", a->y1 - (a->y1 - a->y0) * row / (a->rows - 1), p->unit);
            fprintf(out, "%*s %s", LABEL - 1, label, p->dots ? "\xe2\x94\x82" : "|");
            print_row(out, a, row);
        }
        char end[48];
        int length = snprintf(end, sizeof end, "%s %.6g", p->across, a->x1);
        fprintf(out, "%*s 0%*s%s\n", LABEL - 1, "", a->columns - length - 1 > 1 ? a->columns - length - 1 : 1, "", end);
        print_legend(out, p, curves, count);
    } else {
        fprintf(out, "%s: nothing yet\n", p->title);
    }
    free(a);
}
