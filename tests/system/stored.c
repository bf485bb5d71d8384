/* stored: what is in a store of embeddings, for the tests of the whole program. It knows the schema only from docs/embedding-store.md.
 *
 *     stored STORE            a line per window, in the order of paths and windows: PATH|START|END|BYTES|HASH (64-bit FNV-1a of the vector)
 *     stored STORE vectors    the vectors themselves, in the same order
 *     stored STORE hold MS    keeps the store locked for that long
 *
 * Fails if SQLite's integrity_check or foreign_key_check finds anything. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sqlite3 *db;

static int complain(const char *what)
{
    fprintf(stderr, "stored: %s: %s\n", what, sqlite3_errmsg(db));
    return 1;
}

static int check(void)
{
    sqlite3_stmt *s = NULL;
    const unsigned char *text;
    int code;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) || sqlite3_step(s) != SQLITE_ROW ||
        !(text = sqlite3_column_text(s, 0)) || strcmp((const char *)text, "ok"))
        return complain("integrity_check");
    sqlite3_finalize(s);
    if (sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &s, NULL) || (code = sqlite3_step(s)) != SQLITE_DONE)
        return complain("foreign_key_check");
    sqlite3_finalize(s);
    return 0;
}

static int list(int vectors)
{
    sqlite3_stmt *s = NULL;
    int code;
    if (sqlite3_prepare_v2(db, "SELECT path, start_s, end_s, vector FROM embeddings ORDER BY path, id", -1, &s, NULL))
        return complain("embeddings");
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const unsigned char *vector = sqlite3_column_blob(s, 3);
        int bytes = sqlite3_column_bytes(s, 3);
        uint64_t hash = 0xcbf29ce484222325u;
        for (int i = 0; i < bytes; i++)
            hash = (hash ^ vector[i]) * 0x100000001b3u;
        if (vectors)
            fwrite(vector, 1, (size_t)bytes, stdout);
        else
            printf("%s|%.6f|%.6f|%d|%016llx\n", (const char *)sqlite3_column_text(s, 0), sqlite3_column_double(s, 1),
                   sqlite3_column_double(s, 2), bytes, (unsigned long long)hash);
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? 0 : complain("embeddings");
}

int main(int argc, char **argv)
{
    if (argc < 2 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL))
        return complain(argc < 2 ? "usage: stored STORE [vectors | hold MS]" : argv[1]);
    sqlite3_busy_timeout(db, 10000);
    if (argc == 4 && !strcmp(argv[2], "hold")) {
        if (sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL))
            return complain("hold");
        usleep((useconds_t)atoi(argv[3]) * 1000);
        return sqlite3_close(db);
    }
    int failed = check() || list(argc == 3 && !strcmp(argv[2], "vectors"));
    sqlite3_close(db);
    return failed || fflush(stdout);
}
