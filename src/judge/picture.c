/* Drawing with Cairo: panels, axes, colours.
 *
 * The input is drawn in greys, loud is dark, from its 2nd to its 98th percentile. The heat is a sheet over it whose colour goes from yellow to
 * dark red while it becomes denser, so that nothing is covered where there is no heat; the order is one of lightness too, for eyes
 * that do not tell the hues apart and for printers. */
#include "judge/picture.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/maths.h"

enum { WIDTH = 1000, HEIGHT = 640, LEFT = 80, RIGHT = 110, TOP = 74, BOTTOM = 56, GAP = 26, TICK = 5, FONT = 13, STEPS = 64, MOST = 32767 /* of Cairo */ };

static const double QUARTER = 1.57079632679489661923; /* of a turn */

typedef struct panel {
    double x, y, w, h;
} panel;

/* --- colours ----------------------------------------------------------------------------------------------------------------------- */

static double within(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Colour and cover of a heat from 0 to 1: straight lines between these. */
static void heat_colour(double heat, double rgba[4])
{
    static const double points[][4] = {{1.00, 0.93, 0.55, 0.00}, {1.00, 0.80, 0.30, 0.35}, {0.96, 0.49, 0.15, 0.60}, {0.80, 0.16, 0.13, 0.75}, {0.45, 0.00, 0.10, 0.85}};
    int last = (int)(sizeof points / sizeof points[0]) - 1;
    double at = within(heat) * last;
    int i = at >= last ? last - 1 : (int)at;
    for (int k = 0; k < 4; k++)
        rgba[k] = points[i][k] + (at - i) * (points[i + 1][k] - points[i][k]);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int rn_grey_range(const float *values, size_t count, float *low, float *high, rn_error *err)
{
    float *sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return rn_error_memory(err, "a picture", count * sizeof *sorted);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    *low = sorted[count / 50];
    *high = sorted[count - 1 - count / 50];
    free(sorted);
    return 0;
}

/* --- pictures as surfaces ------------------------------------------------------------------------------------------------------------ */

static void put_pixel(unsigned char *pixel, const double rgba[4])
{
    for (int k = 0; k < 3; k++) /* Cairo's ARGB32 is premultiplied; little-endian: blue first */
        pixel[2 - k] = (unsigned char)floor(255 * rgba[k] * rgba[3] + 0.5);
    pixel[3] = (unsigned char)floor(255 * rgba[3] + 0.5);
}

void rn_heat_colour(double heat, unsigned char pixel[4])
{
    double rgba[4];
    heat_colour(heat, rgba);
    put_pixel(pixel, rgba);
}

void rn_image_pixel(const rn_image *image, int row, int column, unsigned char pixel[4])
{
    const unsigned char *from = image->pixels + ((size_t)row * (size_t)image->width + (size_t)column) * (size_t)image->channels;
    int colours = image->channels == 3;
    pixel[0] = from[colours ? 2 : 0];
    pixel[1] = from[colours ? 1 : 0];
    pixel[2] = from[0];
    pixel[3] = 255;
}

/* NULL without memory. */
static cairo_surface_t *surface_of(const rn_picture *p, int heat, float low, float high)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, p->w, p->h);
    if (cairo_surface_status(surface)) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int r = 0; r < p->h; r++)
        for (int c = 0; c < p->w; c++) {
            double rgba[4] = {0, 0, 0, 1}, v = (double)(heat ? p->heat : p->input)[(long)r * p->w + c];
            unsigned char *pixel = data + (long)(p->image ? r : p->h - 1 - r) * stride + 4L * c;
            if (heat) {
                rn_heat_colour(v, pixel);
                continue;
            }
            if (p->image) {
                rn_image_pixel(p->image, r, c, pixel);
                continue;
            }
            rgba[0] = rgba[1] = rgba[2] = high > low ? 1 - within((v - (double)low) / ((double)high - (double)low)) : 1;
            put_pixel(pixel, rgba);
        }
    cairo_surface_mark_dirty(surface);
    return surface;
}

static void draw_surface(cairo_t *cr, cairo_surface_t *surface, const panel *at, int w, int h, cairo_filter_t filter)
{
    cairo_save(cr);
    cairo_rectangle(cr, at->x, at->y, at->w, at->h);
    cairo_clip(cr);
    cairo_translate(cr, at->x, at->y);
    cairo_scale(cr, at->w / w, at->h / h);
    cairo_set_source_surface(cr, surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), filter);
    cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
    cairo_paint(cr);
    cairo_restore(cr);
}

/* --- text and axes --------------------------------------------------------------------------------------------------------------------- */

static double text_width(cairo_t *cr, const char *text)
{
    cairo_text_extents_t e;
    cairo_text_extents(cr, text, &e);
    return e.x_advance;
}

static void say(cairo_t *cr, double x, double y, double align, const char *text)
{
    cairo_move_to(cr, x - align * text_width(cr, text), y);
    cairo_show_text(cr, text);
}

/* Cut from the left, at a character, behind an ellipsis, to fit. */
static void say_line(cairo_t *cr, double x, double y, double width, const char *text)
{
    double dots = text_width(cr, "…");
    if (text_width(cr, text) <= width) {
        say(cr, x, y, 0, text);
        return;
    }
    while (*text && text_width(cr, text) + dots > width)
        for (text++; ((unsigned char)*text & 0xc0) == 0x80; text++)
            ;
    say(cr, x, y, 0, "…");
    say(cr, x + dots, y, 0, text);
}

static void ink(cairo_t *cr, double grey)
{
    cairo_set_source_rgb(cr, grey, grey, grey);
}

static void line(cairo_t *cr, double x, double y, double to_x, double to_y)
{
    cairo_move_to(cr, x, y);
    cairo_line_to(cr, to_x, to_y);
    cairo_stroke(cr);
}

static void frame(cairo_t *cr, const panel *at)
{
    cairo_rectangle(cr, at->x - 0.5, at->y - 0.5, at->w + 1, at->h + 1);
    ink(cr, 0.45);
    cairo_stroke(cr);
}

/* 1, 2 or 5 times a power of ten that cuts `span` into at most `most` parts. */
static double nice_step(double span, int most)
{
    double unit = rn_pow(10, floor(rn_log10(span / most)));
    for (int i = 0;; i++) {
        static const double steps[] = {1, 2, 5, 10};
        if (span / (steps[i] * unit) <= most || i == 3)
            return steps[i] * unit;
    }
}

static void time_axis(cairo_t *cr, const panel *at, const rn_picture *p)
{
    double low = p->end_s > 0 ? p->start_s : 0, high = p->end_s > 0 ? p->end_s : p->w, step = nice_step(high - low, 10);
    char text[32];
    for (double t = -floor(1e-9 - low / step) * step; t <= high + 1e-9; t += step) {
        double x = at->x + (t - low) / (high - low) * at->w;
        ink(cr, 0.45);
        line(cr, x, at->y + at->h, x, at->y + at->h + TICK);
        snprintf(text, sizeof text, "%.*f", step < 0.1 ? 2 : step < 1 ? 1 : 0, fabs(t) < step / 2 ? 0 : t);
        ink(cr, 0.15);
        say(cr, x, at->y + at->h + TICK + FONT, 0.5, text);
    }
    say(cr, at->x + at->w / 2, at->y + at->h + TICK + 2.4 * FONT, 0.5, p->end_s > 0 ? "seconds" : "column");
}

/* Where a frequency lies among the rows' centres, in rows from the bottom; -1: outside. */
static double row_of(const rn_picture *p, double hz)
{
    for (int r = 0; r + 1 < p->h; r++)
        if (hz >= p->hz[r] && hz < p->hz[r + 1])
            return r + 0.5 + (hz - p->hz[r]) / (p->hz[r + 1] - p->hz[r]);
    return -1;
}

static void row_axis(cairo_t *cr, const panel *at, const rn_picture *p)
{
    static const double marks[] = {50, 100, 200, 300, 500, 1000, 2000, 3000, 4000, 6000, 8000, 16000, 32000, 64000, 128000};
    double free = at->y + at->h + FONT, step = nice_step(p->h, 6);
    char text[32];
    for (int i = 0; i < (p->hz ? (int)(sizeof marks / sizeof marks[0]) : (int)(p->h / step) + 1); i++) {
        double row = p->hz ? row_of(p, marks[i]) : i * step, y = at->y + at->h - row / p->h * at->h;
        if (row < 0 || row > p->h || y > free - 1.4 * FONT)
            continue;
        free = y;
        ink(cr, 0.45);
        line(cr, at->x - TICK, y, at->x, y);
        snprintf(text, sizeof text, "%.0f", p->hz ? marks[i] : row);
        ink(cr, 0.15);
        say(cr, at->x - TICK - 4, y + 0.35 * FONT, 1, text);
    }
    cairo_save(cr);
    cairo_translate(cr, at->x - 58, at->y + at->h / 2);
    cairo_rotate(cr, -QUARTER);
    say(cr, 0, 0, 0.5, p->hz ? "Hz" : "row");
    cairo_restore(cr);
}

static void colour_bar(cairo_t *cr, const panel *beside, const char *what)
{
    panel at = {beside->x + beside->w + 22, beside->y, 16, beside->h};
    double rgba[4];
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_NONE); /* or seams show between the steps */
    for (int i = 0; i < STEPS; i++) {
        heat_colour((i + 0.5) / STEPS, rgba);
        cairo_set_source_rgba(cr, rgba[0], rgba[1], rgba[2], rgba[3]);
        cairo_rectangle(cr, at.x, at.y + at.h * (STEPS - 1 - i) / STEPS, at.w, at.h / STEPS);
        cairo_fill(cr);
    }
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_DEFAULT);
    frame(cr, &at);
    ink(cr, 0.15);
    say(cr, at.x + at.w + 6, at.y + 0.7 * FONT, 0, "1");
    say(cr, at.x + at.w + 6, at.y + at.h, 0, "0");
    cairo_save(cr);
    cairo_translate(cr, at.x + at.w + 22, at.y + at.h / 2);
    cairo_rotate(cr, -QUARTER);
    say(cr, 0, 0, 0.5, what);
    cairo_restore(cr);
}

/* --- the picture --------------------------------------------------------------------------------------------------------------------------- */

/* Two panels of the picture's shape, as large as the page allows. */
static void side_by_side(const rn_picture *p, panel *left, panel *right)
{
    double most_w = (WIDTH - LEFT - RIGHT - GAP) / 2.0, most_h = HEIGHT - TOP - BOTTOM, scale = most_w / p->w < most_h / p->h ? most_w / p->w : most_h / p->h;
    *left = (panel){LEFT, TOP, scale * p->w, scale * p->h};
    *right = *left;
    right->x += left->w + GAP;
}

static void draw(cairo_t *cr, const rn_picture *p, cairo_surface_t *input, cairo_surface_t *heat)
{
    double h = (HEIGHT - TOP - BOTTOM - GAP) / 2.0;
    panel upper = {LEFT, TOP, WIDTH - LEFT - RIGHT, h}, lower = {LEFT, TOP + h + GAP, WIDTH - LEFT - RIGHT, h};
    if (p->image)
        side_by_side(p, &upper, &lower);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_set_line_width(cr, 1);
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    cairo_set_font_size(cr, 18);
    ink(cr, 0.05);
    say_line(cr, LEFT, 30, WIDTH - LEFT - 20, p->title);
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, FONT);
    ink(cr, 0.35);
    say_line(cr, LEFT, 54, WIDTH - LEFT - 20, p->subtitle);
    draw_surface(cr, input, &upper, p->w, p->h, CAIRO_FILTER_NEAREST);
    draw_surface(cr, input, &lower, p->w, p->h, CAIRO_FILTER_NEAREST);
    draw_surface(cr, heat, &lower, p->w, p->h, CAIRO_FILTER_BILINEAR);
    frame(cr, &upper);
    frame(cr, &lower);
    if (!p->image) {
        row_axis(cr, &upper, p);
        row_axis(cr, &lower, p);
        time_axis(cr, &lower, p);
    }
    colour_bar(cr, &lower, p->bar);
}

typedef struct output {
    rn_save save;
    rn_error *err;
    int status;
} output;

static cairo_status_t write_png(void *context, const unsigned char *data, unsigned int size)
{
    output *o = context;
    o->status = rn_save_write(&o->save, data, size, o->err);
    return o->status ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static int write_surface(cairo_surface_t *surface, const char *path, rn_error *err)
{
    output o = {.err = err};
    int status = rn_save_open(&o.save, path, err);
    if (status)
        return status;
    cairo_status_t said = cairo_surface_write_to_png_stream(surface, write_png, &o);
    if (!o.status && said)
        o.status = rn_error_set(err, said == CAIRO_STATUS_NO_MEMORY ? RN_ERR_MEMORY : RN_ERR_IO, "%s: the picture could not be written: %s", path, cairo_status_to_string(said));
    if (!o.status)
        o.status = rn_save_commit(&o.save, err);
    rn_save_drop(&o.save);
    return o.status;
}

int rn_picture_write(const rn_picture *p, const char *path, rn_error *err)
{
    float low = 0, high = 0;
    if (p->w > MOST || p->h > MOST)
        return rn_error_set(err, RN_ERR_ARG, "%s: %d x %d values are more than a picture holds (%d on a side): take a shorter --window, or --npy", path, p->h, p->w, MOST);
    int status = rn_grey_range(p->input, (size_t)p->h * (size_t)p->w, &low, &high, err);
    if (status)
        return status;
    cairo_surface_t *input = surface_of(p, 0, low, high), *heat = surface_of(p, 1, low, high), *page = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
    cairo_t *cr = cairo_create(page);
    if (input && heat)
        draw(cr, p, input, heat);
    cairo_status_t said = cairo_status(cr);
    cairo_destroy(cr);
    if (!input || !heat || said == CAIRO_STATUS_NO_MEMORY)
        status = rn_error_memory(err, "a picture", (unsigned long long)WIDTH * HEIGHT * 4);
    else if (said)
        status = rn_error_set(err, RN_ERR_DATA, "%s: the picture could not be drawn: %s", path, cairo_status_to_string(said));
    else
        status = write_surface(page, path, err);
    cairo_surface_destroy(page);
    if (input)
        cairo_surface_destroy(input);
    if (heat)
        cairo_surface_destroy(heat);
    return status;
}
