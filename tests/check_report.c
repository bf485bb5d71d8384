/* The report of an evaluation, and calibration: what a browser would do with the page, as far as its text tells. */
#include "data_fixture.h"

#include <math.h>

#include "base/file.h"
#include "media/features.h"
#include "models/model.h"
#include "report/page.h"
#include "resnet_tools.h"

static rn_error err;

/* A small untrained network over 8 kHz sound, with these labels, as a file. */
static void put_model(const char *path, const char *const *labels, int classes)
{
    rn_arch arch;
    rn_model *model;
    rn_features features;
    assert_ok(rn_arch_default(&arch, "resnet18", &err), err);
    arch.width = 4;
    arch.classes = classes;
    arch.embedding = 8;
    assert_ok(rn_model_new(&model, &arch, labels, RN_INIT_PYTORCH, 0, 1, &err), err);
    rn_features_default(&features, RN_KALDI, 8000);
    features.bins = 16;
    features.seconds = 1;
    assert_int_equal(json_object_set_new(model->config, "features", rn_features_to_json(&features)), 0);
    assert_ok(rn_model_save(model, path, &err), err);
    rn_model_close(&model);
}

/* Judges and writes the page; its text is the caller's. */
static char *report(const char *model, const char *data_path, const char *page, const char *command, char **result)
{
    rn_data *data;
    rn_evaluation *evaluation;
    unsigned char *text;
    size_t size;
    assert_ok(rn_data_open(&data, data_path, NULL, &err), err);
    assert_ok(rn_evaluation_open(&evaluation, model, data, "{\"part\": \"all\"}", NULL, NULL, NULL, &err), err);
    assert_ok(rn_evaluation_report(evaluation, page, command, NULL, NULL, &err), err);
    if (result)
        assert_ok(rn_evaluation_result(evaluation, result, &err), err);
    rn_evaluation_close(&evaluation);
    rn_data_close(&data);
    assert_ok(rn_file_read(page, 1 << 26, &text, &size, &err), err);
    assert_int_equal(strlen((char *)text), size); /* no NUL inside */
    return (char *)text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* Each value of an attribute, of those that have it, is fit. */
static void each_value(const char *text, const char *attribute, int (*fit)(const char *text, const char *value))
{
    char value[200];
    for (const char *at = text; (at = strstr(at, attribute));) {
        at += strlen(attribute);
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\""), at);
        if (!fit(text, value))
            fail_msg("%s%s\"", attribute, value);
    }
}

static int is_own_data(const char *text, const char *value)
{
    (void)text;
    return !strncmp(value, "data:image/png;base64,", 22) || !strncmp(value, "data:audio/mpeg;base64,", 23);
}

static int has_target(const char *text, const char *value)
{
    char id[220];
    snprintf(id, sizeof id, " id=\"%s\"", value + 1);
    return *value == '#' && strstr(text, id);
}

/* A page that asks another server for something, and links that lead nowhere (an item that is neither card nor row). */
static void check_page(const char *text)
{
    each_value(text, " src=\"", is_own_data);
    each_value(text, " href=\"", has_target);
    assert_null(strstr(text, "http:"));
    assert_null(strstr(text, "https:"));
    assert_int_equal(count(text, "<html lang=\"en\">"), 1);
    assert_int_equal(count(text, "<h1>"), 1);
    assert_int_equal(count(text, "<script"), 1);
    assert_int_equal(count(text, "<details"), count(text, "</details>"));
    assert_int_equal(count(text, "<table"), count(text, "</table>"));
    assert_int_equal(count(text, "<figure"), count(text, "</figure>"));
    assert_null(strstr(text, "nan%"));
    assert_null(strstr(text, ">nan"));
}

/* Names that would be markup, turn the direction of writing, or are no text. A page that shows one of them unescaped runs it. */
static void hostile_names_are_text(void **state)
{
    (void)state;
    const char *labels[] = {"<b onload=alert(1)>", "it's \"quoted\" & <i>"};
    put_noise(at("hostile/%s/<img src=x onerror=alert(2)>.wav", labels[0]), 1, 8000, 0.5, 1);
    put_noise(at("hostile/%s/line\nbreak.wav", labels[0]), 1.5, 8000, 0.5, 2);
    put_noise(at("hostile/%s/\xe2\x80\xaegpj.wav", labels[1]), 0.7, 8000, 0.2, 3);
    put_noise(at("hostile/%s/\xff\xc0\xaf.wav", labels[1]), 40, 8000, 0.2, 4); /* above 30 s: several windows */
    put_model(at("hostile.safetensors"), labels, 2);
    char *text =
        report(at("hostile.safetensors"), at("hostile"), at("hostile.html"), "resnet eval '</pre><script>alert(3)</script>'", NULL);
    check_page(text);
    assert_null(strstr(text, "<b onload"));
    assert_null(strstr(text, "<img src=x"));
    assert_null(strstr(text, "<script>alert"));
    assert_null(strstr(text, "line\nbreak"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strstr(text, "\xff"));
    assert_non_null(strstr(text, "&#60;img src=x onerror=alert(2)&#62;.wav"));
    assert_non_null(strstr(text, "line\\x0Abreak.wav"));
    assert_non_null(strstr(text, "\\u202Egpj.wav"));
    assert_non_null(strstr(text, "\\xFF\\xC0\\xAF.wav"));
    assert_non_null(strstr(text, "it&#39;s &#34;quoted&#34; &#38; &#60;i&#62;"));
    assert_int_equal(count(text, "<article"), 4); /* mistakes and five of each class */
    assert_int_equal(count(text, "<audio"), 4);
    free(text);
}

/* 1,000 items of 5.5 s: below 5 MB, at most 200 of them as cards, the rest as rows, each once. */
static void thousand_items_fit(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    enum { ITEMS = 300 }; /* every pair is looked at a thousand times for the map */
#else
    enum { ITEMS = 1000 };
#endif
    const char *labels[] = {"a", "b", "c"};
    put_noise(at("many/long.wav"), 12, 8000, 0.5, 5);
    FILE *manifest = fopen(at("many/many.csv"), "w");
    assert_non_null(manifest);
    fprintf(manifest, "path,label,start,end\n");
    for (int i = 0; i < ITEMS; i++)
        fprintf(manifest, "long.wav,%s,%.3f,%.3f\n", labels[i % 3], i * 0.006, i * 0.006 + 5.5);
    fclose(manifest);
    put_model(at("many.safetensors"), labels, 3);
    char *text = report(at("many.safetensors"), at("many/many.csv"), at("many.html"), "resnet eval", NULL);
    check_page(text);
    print_message("%zu bytes\n", strlen(text));
    assert_true(strlen(text) < 5000000);
    assert_true(strlen(text) > 2000000); /* the sound is there */
    assert_int_equal(count(text, "<article"), 200);
    assert_int_equal(count(text, "<audio"), 200);
    assert_int_equal(count(text, " id=\"item-"), ITEMS);
    free(text);
}

/* Arrays, and a class without items: no sound, no level, no figures where there is nothing to tell. */
static void degenerate_data(void **state)
{
    (void)state;
    const char *labels[] = {"x", "y", "z"};
    put_array(at("arrays/a.npy"), 1, 16, 98, 0);
    put_array(at("arrays/b.npy"), 1, 16, 98, 1);
    put_text(at("arrays/data.csv"), "path,label\na.npy,x\nb.npy,y\n");
    put_model(at("arrays.safetensors"), labels, 3);
    char *text = report(at("arrays.safetensors"), at("arrays/data.csv"), at("arrays.html"), NULL, NULL);
    check_page(text);
    assert_int_equal(count(text, "<audio"), 0);
    assert_int_equal(count(text, "<article"), 2);
    assert_null(strstr(text, "background level"));
    const char *row = strstr(text, "<th scope=\"row\">z</th><td>0</td>");
    assert_non_null(row);
    char cells[400];
    snprintf(cells, sizeof cells, "%.*s", (int)(strstr(row, "</tr>") - row), row);
    assert_true(count(cells, "<td>none</td>") >= 5); /* recall, its interval, F1, average precision, ROC area */
    free(text);
}

/* The stored temperature is the one that eval answers with from then on, by every way; the tensors stay. A temperature that is applied twice,
 * or only by eval, fails here. */
static void calibration_is_stored(void **state)
{
    (void)state;
    const char *labels[] = {"loud", "quiet"};
    char *before, *after;
    for (int i = 0; i < 12; i++)
        put_noise(at("levels/%s/%d.wav", labels[i % 2], i), 0.5 + 0.1 * i, 8000, i % 2 ? 0.02 : 0.7, 20 + (uint64_t)i);
    put_model(at("levels.safetensors"), labels, 2);
    free(report(at("levels.safetensors"), at("levels"), at("levels.html"), NULL, &before));
    rn_data *data;
    rn_evaluation *evaluation;
    assert_ok(rn_data_open(&data, at("levels"), NULL, &err), err);
    assert_ok(rn_evaluation_open(&evaluation, at("levels.safetensors"), data, "{\"part\": \"all\"}", NULL, NULL, NULL, &err), err);
    assert_ok(rn_evaluation_calibrate(evaluation, &err), err);
    rn_evaluation_close(&evaluation);
    rn_data_close(&data);
    free(report(at("levels.safetensors"), at("levels"), at("levels.html"), NULL, &after));
    json_t *old = json_loads(before, 0, NULL), *new = json_loads(after, 0, NULL);
    json_t *wished = json_object_get(old, "calibration"), *got = json_object_get(new, "calibration");
    double temperature = json_number_value(json_object_get(wished, "best_temperature"));
    assert_true(json_number_value(json_object_get(wished, "temperature")) == 1);
    assert_true(temperature != 1);
    assert_true(fabs(json_number_value(json_object_get(got, "temperature")) - temperature) < 1e-9);
    assert_true(fabs(json_number_value(json_object_get(new, "loss")) - json_number_value(json_object_get(wished, "best_loss"))) < 1e-6);
    assert_true(fabs(json_number_value(json_object_get(new, "ece")) - json_number_value(json_object_get(wished, "best_ece"))) < 1e-6);
    assert_true(json_equal(json_object_get(old, "confusion"), json_object_get(new, "confusion")));
    json_decref(old);
    json_decref(new);
    rn_text_free(before);
    rn_text_free(after);
}

/* The baselines are of the very items that the model was judged on: a recording that was left out as too short does not count. */
static void level_is_of_the_judged(void **state)
{
    (void)state;
    const char *labels[] = {"loud", "quiet"};
    char *result;
    for (int i = 0; i < 8; i++)
        put_noise(at("short/%s/%d.wav", labels[i > 3], i), i == 0 ? 0.05 : 1, 8000, i > 3 ? 0.02 : 0.7, 40 + (uint64_t)i);
    put_model(at("short.safetensors"), labels, 2);
    free(report(at("short.safetensors"), at("short"), at("short.html"), NULL, &result));
    json_t *all = json_loads(result, 0, NULL), *level = json_object_get(all, "level");
    assert_int_equal(json_integer_value(json_object_get(all, "items")), 7);
    assert_true(fabs(json_number_value(json_object_get(level, "chance")) - 4.0 / 7) < 1e-9);
    json_decref(all);
    rn_text_free(result);
}

typedef struct heard {
    float logits[2], probability[2];
} heard;

static int take(void *context, const rn_answer *answer)
{
    heard *h = context;
    memcpy(h->logits, answer->logits, sizeof h->logits);
    memcpy(h->probability, answer->probability, sizeof h->probability);
    return 0;
}

/* predict, too, divides its logits; a temperature that is no number is refused by name. */
static void temperature_reaches_predict(void **state)
{
    (void)state;
    const char *labels[] = {"p", "q"};
    rn_model *model;
    rn_session *session;
    heard h;
    put_noise(at("one.wav"), 1, 8000, 0.5, 9);
    put_model(at("one.safetensors"), labels, 2);
    assert_ok(rn_model_rewrite(at("one.safetensors"), json_pack("{s:{s:f}}", "calibration", "temperature", 2.0), &err), err);
    assert_ok(rn_model_load(&model, at("one.safetensors"), &err), err);
    assert_ok(rn_session_open(&session, model, NULL, &err), err);
    assert_ok(rn_session_file(session, at("one.wav"), NULL, take, &h, &err), err);
    assert_true(fabs(h.probability[0] - 1 / (1 + exp((h.logits[1] - h.logits[0]) / 2.0))) < 1e-6);
    rn_session_close(&session);
    rn_model_close(&model);
    assert_ok(rn_model_rewrite(at("one.safetensors"), json_pack("{s:{s:s}}", "calibration", "temperature", "warm"), &err), err);
    assert_int_equal(rn_model_load(&model, at("one.safetensors"), &err), RN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "temperature"));
}

/* A page that could not be written leaves the old one; one whose text was cut for want of memory is not written at all. */
static void page_is_whole_or_not(void **state)
{
    (void)state;
    rn_page page = {0};
    put_text(at("old.html"), "old");
    rn_page_put(&page, "%d", 1);
    page.failed = 1;
    assert_int_equal(rn_page_save(&page, at("old.html"), &err), RN_ERR_MEMORY);
    page.failed = 0;
    assert_int_equal(rn_page_save(&page, at("old.html/none/x.html"), &err), RN_ERR_IO);
    char text[8] = "";
    FILE *file = fopen(at("old.html"), "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "old");
    rn_page_free(&page);
}

/* RFC 4648, its examples. */
static void base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        rn_page page = {0};
        rn_page_data(&page, "a/b", pairs[i][0], strlen(pairs[i][0]));
        assert_int_equal(strncmp(page.text, "data:a/b;base64,", 16), 0);
        assert_string_equal(page.text + 16, pairs[i][1]);
        rn_page_free(&page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_names_are_text),
        cmocka_unit_test(thousand_items_fit),
        cmocka_unit_test(degenerate_data),
        cmocka_unit_test(calibration_is_stored),
        cmocka_unit_test(temperature_reaches_predict),
        cmocka_unit_test(page_is_whole_or_not),
        cmocka_unit_test(level_is_of_the_judged),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
