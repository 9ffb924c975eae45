/* The first process of a pod. With a shared PID namespace it is every orphan's parent, so it must reap: Patroni waits
 * for ever for a Postgres that is a zombie. Signals are taken one by one, so none can come between a check and a sleep. */
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    sigset_t set;
    int taken = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    while (sigwait(&set, &taken) == 0 && taken == SIGCHLD)
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    return 0;
}
