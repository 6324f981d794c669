/* How firmware uses the generated network: one call a step. Build: cc -std=c99 -iquote OUT OUT/net.c deploy/c/use.c */
#include "net.h"
#include <stdio.h>

int main(void)
{
    static uint16_t input[NET_INPUTS]; /* spike counts of this step: fill from sensors */
    static net_output output[NET_OUTPUTS]; /* spikes, or a readout's weighted sums */
    static int32_t total[NET_OUTPUTS];
    uint32_t step, n;
    net_reset(); /* before each sample */
    for (step = 0; step < 200; step++) {
        for (n = 0; n < NET_INPUTS; n++) {
            input[n] = (uint16_t)((step * 7u + n * 13u) % 5u == 0);
        }
        if (net_step(input, output)) {
            return 1; /* a count was above NET_INPUT_LIMIT */
        }
        for (n = 0; n < NET_OUTPUTS; n++) {
            total[n] += output[n];
        }
    }
    for (n = 0; n < NET_OUTPUTS; n++) {
        printf("output %u: %ld\n", (unsigned)n, (long)total[n]); /* the largest is the network's answer */
    }
    return 0;
}
