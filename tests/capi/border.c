/*
 * What must hold at the border, whatever a caller does: functions handed over one by one, mistakes that
 * are reported and not followed, a scan that threads share. Prints nothing if all of it holds.
 */
#include <acsscan.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
            exit(EXIT_FAILURE);                                                      \
        }                                                                            \
    } while (0)

/* A root port with bus 1 below it, and ACS whose four controls are on. */
static void root_port(uint8_t bytes[4096])
{
    static const uint8_t ids[] = { 0x86, 0x80, 0x01, 0x00, 0, 0, 0x10 }, class[] = { 0x04, 0x06, 0, 0, 1 };
    static const uint8_t buses[] = { 0, 1, 1 }, pcie[] = { 0x10, 0, 0x42, 0 };
    static const uint8_t acs[] = { 0x0d, 0, 0x01, 0, 0x1f, 0, 0x1d, 0 };

    memset(bytes, 0, 4096);
    memcpy(bytes, ids, sizeof(ids));
    memcpy(bytes + 0x0a, class, sizeof(class));
    memcpy(bytes + 0x18, buses, sizeof(buses));
    bytes[0x34] = 0x40;
    memcpy(bytes + 0x40, pcie, sizeof(pcie));
    memcpy(bytes + 0x100, acs, sizeof(acs));
}

/* An endpoint without ACS. */
static void endpoint(uint8_t bytes[4096])
{
    static const uint8_t ids[] = { 0x86, 0x80, 0x02, 0x00, 0, 0, 0x10 }, pcie[] = { 0x10, 0, 0x02, 0 };

    memset(bytes, 0, 4096);
    memcpy(bytes, ids, sizeof(ids));
    bytes[0x0b] = 0x02;
    bytes[0x34] = 0x40;
    memcpy(bytes + 0x40, pcie, sizeof(pcie));
}

static acsscan_scan *build(void)
{
    acsscan_builder *builder = acsscan_builder_new();
    acsscan_scan *scan = NULL;
    const acsscan_address port = { 0, 0, 0x1c, 0 }, leaf = { 0, 1, 0, 0 };
    const uint32_t group = 14;
    acsscan_attributes attributes;
    uint8_t bytes[4096];
    char *error;

    memset(&attributes, 0, sizeof(attributes));
    attributes.size = sizeof(attributes);
    attributes.driver = "vfio-pci";
    attributes.kernel_group = &group;
    endpoint(bytes);
    CHECK(acsscan_builder_add(builder, &leaf, bytes, sizeof(bytes), &attributes, &error) == ACSSCAN_STATUS_OK);
    CHECK(error == NULL);
    root_port(bytes);
    CHECK(acsscan_builder_add(builder, &port, bytes, sizeof(bytes), NULL, NULL) == ACSSCAN_STATUS_OK);
    CHECK(acsscan_builder_finish(builder, NULL, &scan, NULL) == ACSSCAN_STATUS_OK);
    return scan;
}

/* The answers that one scan has to give, in any thread. */
static void *ask(void *argument)
{
    const acsscan_scan *scan = argument;
    const acsscan_address leaf = { 0, 1, 0, 0 };
    acsscan_verdict verdict;
    acsscan_acs acs;
    uint32_t group;
    size_t function;
    char *why;
    int i;

    for (i = 0; i < 100; i++) {
        CHECK(acsscan_function_find(scan, &leaf, &function, NULL) == ACSSCAN_STATUS_OK);
        CHECK(function == 1);
        CHECK(acsscan_function_acs(scan, 0, &acs, NULL) == ACSSCAN_STATUS_OK);
        CHECK(acs.presence == ACSSCAN_PRESENCE_PRESENT && acs.offset == 0x100);
        CHECK(acs.capability == 0x1f && acs.control == 0x1d);
        CHECK(acsscan_function_kernel_group(scan, 1, &group, NULL) == ACSSCAN_STATUS_OK && group == 14);
        CHECK(acsscan_check(scan, &function, 1, ACSSCAN_POLICY_SPEC, &verdict, &why, NULL) ==
              ACSSCAN_STATUS_OK);
        CHECK(verdict == ACSSCAN_VERDICT_ASSIGNABLE);
        acsscan_string_free(why);
    }
    return NULL;
}

static void mistakes(const acsscan_scan *scan)
{
    acsscan_scan *none = NULL;
    acsscan_address address = { 0, 9, 0, 0 };
    const char *nowhere = "/nowhere/devices.toml";
    acsscan_options options;
    size_t function = 77;
    char text[17], *error;

    memset(&options, 0, sizeof(options));
    CHECK(acsscan_open_path("/nowhere/dump.txt", NULL, &none, &error) == ACSSCAN_STATUS_INPUT);
    CHECK(strstr(error, "/nowhere/dump.txt") && !strchr(error, '\n') && !none);
    acsscan_string_free(error);
    CHECK(acsscan_open_memory((const uint8_t *)"prose", 5, NULL, &none, NULL) == ACSSCAN_STATUS_INPUT);
    CHECK(acsscan_open_live("/nowhere", NULL, &none, NULL) == ACSSCAN_STATUS_INPUT);
    options.size = sizeof(options);
    options.flags = 1u << 31;
    CHECK(acsscan_open_path("/", &options, &none, NULL) == ACSSCAN_STATUS_INVALID_ARGUMENT);
    options.flags = 0;
    options.databases = &nowhere;
    options.database_count = 1;
    CHECK(acsscan_builder_finish(acsscan_builder_new(), &options, &none, &error) == ACSSCAN_STATUS_INPUT);
    CHECK(strstr(error, nowhere) && !none);
    acsscan_string_free(error);
    CHECK(acsscan_function_find(scan, &address, &function, &error) == ACSSCAN_STATUS_NOT_FOUND);
    CHECK(strcmp(error, "0000:09:00.0: no such function") == 0 && function == 77);
    acsscan_string_free(error);
    CHECK(acsscan_function_find(NULL, NULL, NULL, NULL) == ACSSCAN_STATUS_INVALID_ARGUMENT);
    CHECK(acsscan_address_format(&address, text, 12, NULL) == ACSSCAN_STATUS_INVALID_ARGUMENT);
    CHECK(acsscan_address_format(&address, text, 13, NULL) == ACSSCAN_STATUS_OK);
    CHECK(acsscan_address_parse("not an address", &address, NULL) == ACSSCAN_STATUS_INVALID_ARGUMENT);
    CHECK(acsscan_function_count(NULL) == 0);
    acsscan_builder_free(acsscan_builder_new());
    acsscan_builder_free(NULL);
    acsscan_close(NULL);
    acsscan_string_free(NULL);
    CHECK(strchr(acsscan_version(), '.') != NULL);
}

int main(void)
{
    acsscan_scan *scan = build();
    pthread_t threads[4];
    size_t i;

    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, ask, scan) == 0);
    for (i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    mistakes(scan);
    acsscan_close(scan);
    return EXIT_SUCCESS;
}
