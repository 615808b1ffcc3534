/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

int thread_start(void *(*run)(void *userdata), void *userdata, size_t stack_size) {
        pthread_attr_t attributes;
        pthread_t thread;
        sigset_t all;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        sigfillset(&all);
        (void) pthread_attr_setsigmask_np(&attributes, &all);
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attributes, stack_size);
        r = pthread_create(&thread, &attributes, run, userdata);
        pthread_attr_destroy(&attributes);
        return -r;
}
