/* A process is asked for by signal 0. Its number may have gone to another one meanwhile; then a dead run looks alive until that ends. */
#include "serve/alive.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FRESH_S = 10, LOST_S = 600 };

int run_is_alive(const json_t *progress)
{
    char host[256] = "";
    json_int_t process = json_integer_value(json_object_get(progress, "process"));
    const char *where = json_string_value(json_object_get(progress, "host"));
    double age = difftime(time(NULL), (time_t)json_integer_value(json_object_get(progress, "time")));
    if (age >= 0 && age <= FRESH_S)
        return 1;
    gethostname(host, sizeof host - 1);
    if (!where || strcmp(where, host))
        return age < LOST_S;
    return process > 1 && process <= 1 << 30 && (kill((pid_t)process, 0) == 0 || errno == EPERM);
}
