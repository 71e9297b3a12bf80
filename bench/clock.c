/* A wrong date for one process: preload it, with the seconds by which the clock is ahead in CLOCK_AHEAD.
   Only the date is wrong; pauses and time-outs go by the monotonic clock, as on a machine that was set wrongly.
   (libfaketime 0.9.10 fails here: time.sleep raises EINVAL in Python's threads, also with its monotonic clock off.) */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t ahead;

__attribute__((constructor)) static void read_ahead(void)
{
    const char *given = getenv("CLOCK_AHEAD");
    ahead = given ? atol(given) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec date;
    int failed = clock_gettime(CLOCK_REALTIME, &date);
    if (!failed) *now = (struct timeval){date.tv_sec, date.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *now)
{
    struct timespec date;
    clock_gettime(CLOCK_REALTIME, &date);
    if (now) *now = date.tv_sec;
    return date.tv_sec;
}
