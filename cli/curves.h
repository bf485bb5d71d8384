/* Curves as text: Braille dots where the terminal shows UTF-8, letters elsewhere. */
#ifndef RESNET_CLI_CURVES_H
#define RESNET_CLI_CURVES_H

#include <stdio.h>

typedef struct curve {
    char letter; /* marks it in the plot and in the legend */
    const char *name;
    int count;
    const double *x, *y; /* [count], x rising; y NaN: a gap */
} curve;

typedef struct plot {
    const char *title, *across; /* what y is, what x counts */
    const char *unit;           /* behind numbers of y: "" or " %" */
    int columns, rows;          /* of the whole plot, of its area */
    int dots;                   /* 1: Braille */
} plot;

/* Title, area with an axis to the left and one below, and a legend with each curve's last value; rows + 3 lines. */
void plot_print(FILE *out, const plot *p, const curve *curves, int count);

#endif
