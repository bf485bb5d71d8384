/* Names what is in a recording: the program that resnet.h begins with.
 *
 *     cc classify.c -o classify $(pkg-config --cflags --libs resnet)
 *     ./classify run/model.safetensors garden.flac
 */
#include <resnet.h>
#include <stdio.h>

static int print(void *context, const rn_answer *a)
{
    printf("%s %6.1f - %.1f s   %s %.1f %%\n", (const char *)context, a->start_s, a->end_s, a->label, 100 * a->confidence);
    return 0;
}

int main(int argc, char **argv)
{
    rn_error err = {0};
    rn_model *model = NULL;
    rn_session *session = NULL;
    int failed = argc < 3 || rn_model_load(&model, argv[1], &err) || rn_session_open(&session, model, NULL, &err) ||
                 rn_session_file(session, argv[2], NULL, print, argv[2], &err);
    if (failed)
        fprintf(stderr, "%s\n", argc < 3 ? "usage: classify MODEL FILE" : err.text);
    rn_session_close(&session);
    rn_model_close(&model);
    return failed ? 1 : 0;
}
