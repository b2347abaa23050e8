/* SPDX-License-Identifier: MIT */
/* Fuzzes the agent's reading of places: requests of the host's, and what getent prints. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "guest/agent/places.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check(const struct place *place)
{
    require(place->count > 0 && place->count <= PLACE_ADDRESSES_MAX);
    for (size_t i = 0; i < place->count; i++) {
        const struct sockaddr *address = &place->addresses[i].any;

        require(place->addresses[i].size <= sizeof(struct sockaddr_un));
        require(address->sa_family == AF_INET || address->sa_family == AF_INET6 ||
                address->sa_family == AF_UNIX);
        if (address->sa_family == AF_UNIX)
            require(place->addresses[i].un.sun_path[0] == '/' &&
                    memchr(place->addresses[i].un.sun_path, '\0',
                           sizeof(place->addresses[i].un.sun_path)) != NULL);
    }
}

static void read_request(const uint8_t *data, size_t size)
{
    Streams__Request *request = streams__request__unpack(NULL, size, data);
    struct crosh_error err = {0};
    struct place place;
    int r;

    if (request == NULL)
        return;
    if (request->op_case == STREAMS__REQUEST__OP_CONNECT) {
        r = place_find(&place, request->connect->to, &err);
        if (r == 0)
            check(&place);
        else
            require(r == -EINPROGRESS || (r < 0 && err.message[0] != '\0'));
    }
    streams__request__free_unpacked(request, NULL);
}

static void read_lookup(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct crosh_error err = {0};
    struct place place;

    if (text == NULL)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    if (place_lookup_end(&place, text, size, 80, &err) == 0)
        check(&place);
    else
        require(err.code == -EHOSTUNREACH);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_request(data, size);
    read_lookup(data, size);
    return 0;
}
