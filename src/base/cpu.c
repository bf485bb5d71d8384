/* Processor features, the mask over them, and the floating-point control state. */
#include "base/cpu.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned features; /* what is allowed at this level */
} levels[] = {
    {"c", 0},
    {"fma", RN_CPU_FMA},
    {"avx2", RN_CPU_FMA | RN_CPU_AVX2},
    {"avx512", RN_CPU_FMA | RN_CPU_AVX2 | RN_CPU_AVX512},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static atomic_int limit = LEVELS - 1;

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t saved_by_system(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static unsigned detect(void)
{
    unsigned a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA))
        return 0;
    uint64_t saved = saved_by_system();
    if ((saved & 0x6) != 0x6) /* xmm and ymm */
        return 0;
    found = RN_CPU_FMA;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return found;
    if (b & bit_AVX2)
        found |= RN_CPU_AVX2;
    unsigned need = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & need) == need && (saved & 0xe6) == 0xe6) /* opmask and zmm too */
        found |= RN_CPU_AVX512;
    return found;
}

unsigned rn_fp_enter(void)
{
    unsigned old, pinned = 0x1f80; /* round to nearest, denormals kept, exceptions masked */
    __asm__ volatile("stmxcsr %0" : "=m"(old));
    __asm__ volatile("ldmxcsr %0" : : "m"(pinned));
    return old;
}

void rn_fp_leave(unsigned state)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(state));
}
#else
static unsigned detect(void)
{
#if defined(__FP_FAST_FMAF) && defined(__FP_FAST_FMA)
    return RN_CPU_FMA; /* the plain C reference is compiled with the processor's own fma */
#else
    return 0;
#endif
}

#if defined(__aarch64__)
unsigned rn_fp_enter(void)
{
    uint64_t old, pinned = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(pinned));
    return (unsigned)old;
}

void rn_fp_leave(unsigned state)
{
    uint64_t wide = state;
    __asm__ volatile("msr fpcr, %0" : : "r"(wide));
}
#else
unsigned rn_fp_enter(void)
{
    return 0;
}

void rn_fp_leave(unsigned state)
{
    (void)state;
}
#endif
#endif

static int level_of(const char *name)
{
    for (int i = 0; i < LEVELS; i++)
        if (!strcmp(levels[i].name, name))
            return i;
    return -1;
}

unsigned rn_cpu_features(void)
{
    unsigned allowed = levels[atomic_load(&limit)].features;
    const char *wish = getenv("RESNET_CPU");
    int level = wish ? level_of(wish) : -1;
    if (level >= 0)
        allowed &= levels[level].features;
    return detect() & allowed;
}

int rn_cpu_limit(const char *level)
{
    int found = level ? level_of(level) : LEVELS - 1;
    if (found < 0)
        return -1;
    atomic_store(&limit, found);
    return 0;
}

const char *rn_cpu_level(void)
{
    unsigned have = rn_cpu_features();
    for (int i = LEVELS - 1; i > 0; i--)
        if ((have & levels[i].features) == levels[i].features)
            return levels[i].name;
    return levels[0].name;
}
