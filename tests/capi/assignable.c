/*
 * What a hypervisor's management does: reads a dump into memory and asks, for some functions, whether
 * they may be assigned to a guest, and if not, why.
 *
 * Usage: assignable [-d DATABASE] [-t DAY] DUMP ADDRESS...
 */
#include <acsscan.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const policies[] = { "spec", "linux", "libvirt", "relaxed" };
static const char *const verdicts[] = { "yes", "no", "inconclusive", "accepted" };
static const char *const presences[] = { "no ACS", "ACS", "not captured whether it has ACS" };
static const char *const dispositions[] = { "direct", "undetermined", "redirected", "blocked" };

/* Ends the program, with the message that came back. */
static void must(acsscan_status status, char **error)
{
    if (status == ACSSCAN_STATUS_OK)
        return;
    fprintf(stderr, "assignable: %s\n", *error);
    acsscan_string_free(*error);
    exit(EXIT_FAILURE);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long length;

    if (file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0) {
        *size = (size_t)length;
        bytes = malloc(*size);
        rewind(file);
        if (bytes && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file)
        fclose(file);
    return bytes;
}

static const char *address_of(const acsscan_scan *scan, size_t function)
{
    static char text[17];
    acsscan_address address;
    char *error;

    must(acsscan_function_address(scan, function, &address, &error), &error);
    must(acsscan_address_format(&address, text, sizeof(text), &error), &error);
    return text;
}

static void print_set(const acsscan_scan *scan, const char *what, size_t set,
                      acsscan_status (*members)(const acsscan_scan *, size_t, size_t *, size_t, size_t *,
                                                char **))
{
    size_t count, i;
    size_t *functions;
    char *error;

    must(members(scan, set, NULL, 0, &count, &error), &error);
    functions = calloc(count, sizeof(*functions));
    if (!functions)
        exit(EXIT_FAILURE);
    must(members(scan, set, functions, count, &count, &error), &error);
    printf("  %s %zu:", what, set);
    for (i = 0; i < count; i++)
        printf(" %s", address_of(scan, functions[i]));
    printf("\n");
    free(functions);
}

static void print_function(const acsscan_scan *scan, size_t function)
{
    acsscan_acs acs;
    size_t domain, group;
    bool certain;
    uint32_t policy;
    char *error, *why;

    must(acsscan_function_acs(scan, function, &acs, &error), &error);
    printf("%s: %s", address_of(scan, function), presences[acs.presence]);
    if (acs.presence == ACSSCAN_PRESENCE_PRESENT)
        printf(" at %03xh: capability %04x, control %04x", acs.offset, acs.capability, acs.control);
    printf("\n");

    must(acsscan_domain_of(scan, function, &domain, &error), &error);
    print_set(scan, "isolation domain", domain, acsscan_domain_members);
    must(acsscan_group_of(scan, function, &group, &certain, &error), &error);
    print_set(scan, certain ? "group" : "group (predicted)", group, acsscan_group_members);

    for (policy = ACSSCAN_POLICY_SPEC; policy <= ACSSCAN_POLICY_LIBVIRT_RELAXED; policy++) {
        acsscan_verdict verdict;

        must(acsscan_check(scan, &function, 1, policy, &verdict, &why, &error), &error);
        printf("  assignable (%s): %s: %s\n", policies[policy], verdicts[verdict], why);
        acsscan_string_free(why);
    }
}

int main(int argc, char **argv)
{
    size_t *functions = calloc((size_t)argc, sizeof(*functions));
    size_t count = 0, size = 0;
    uint8_t *dump = NULL;
    const char *database = NULL;
    acsscan_options options;
    acsscan_scan *scan;
    int option;
    acsscan_disposition disposition;
    acsscan_verdict verdict;
    char *error, *why;

    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.flags = ACSSCAN_FLAG_NO_DEFAULT_DATABASES;
    while ((option = getopt(argc, argv, "d:t:")) != -1) {
        if (option == 'd') {
            database = optarg;
            options.databases = &database;
            options.database_count = 1;
        } else if (option == 't') {
            options.today = optarg;
        }
    }
    if (argc - optind > 1)
        dump = read_file(argv[optind++], &size);
    if (!dump || !functions) {
        fprintf(stderr, "usage: assignable [-d DATABASE] [-t DAY] DUMP ADDRESS...\n");
        return EXIT_FAILURE;
    }
    must(acsscan_open_memory(dump, size, &options, &scan, &error), &error);
    free(dump);
    printf("%zu functions, %zu isolation domains, %zu groups, %zu problems\n",
           acsscan_function_count(scan), acsscan_domain_count(scan), acsscan_group_count(scan),
           acsscan_problem_count(scan));

    for (; optind < argc; optind++) {
        acsscan_address address;

        must(acsscan_address_parse(argv[optind], &address, &error), &error);
        must(acsscan_function_find(scan, &address, &functions[count], &error), &error);
        print_function(scan, functions[count++]);
    }
    if (count > 1) {
        must(acsscan_p2p(scan, functions[0], functions[1], ACSSCAN_TRANSACTION_MEMORY, &disposition, &why,
                         &error),
             &error);
        printf("first to second (%s): %s\n", dispositions[disposition], why);
        acsscan_string_free(why);
        must(acsscan_check(scan, functions, count, ACSSCAN_POLICY_SPEC, &verdict, &why, &error), &error);
        printf("all to one guest: %s: %s\n", verdicts[verdict], why);
        acsscan_string_free(why);
    }
    acsscan_close(scan);
    free(functions);
    return EXIT_SUCCESS;
}
