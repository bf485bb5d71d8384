/* resnet watch: runs in a browser or in the terminal, while they go on and afterwards. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "serve/watch.h"

int verb_watch(const command *c)
{
    rn_error err = {0};
    watch *page;
    if (watch_open(&page, option_text(c, "listen"), c->arguments, c->arguments_count, &err))
        return fail_with(&err);
    printf("%s\n", watch_url(page));
    fflush(stdout);
    signals_watch();
    while (!signals_stopped())
        pause();
    watch_close(&page);
    return EXIT_DONE;
}
