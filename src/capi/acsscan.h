/*
 * acsscan: who can reach whom in a PCI hierarchy, past the IOMMU, and what may be assigned to a guest.
 *
 * Numbers. The functions of a scan are numbered from 0, in the order of their addresses; so are its
 * isolation domains and groups, in the order of their lowest addresses.
 *
 * Ownership. acsscan_scan and acsscan_builder belong to the caller, who ends them with acsscan_close()
 * and acsscan_builder_finish() or acsscan_builder_free(). Strings that are set through a char ** are
 * the caller's, too, for acsscan_string_free(). What is passed in is read during the call only.
 *
 * Threads. A scan never changes: any number of threads may ask it at once. A builder is for one thread
 * at a time. There is no global state, and none of a thread.
 *
 * Errors. Functions that can fail return acsscan_status and take a char **error last. It may be NULL;
 * else it is set to NULL on success, and to one line of text on failure. On failure no other output is
 * written. A NULL where none is allowed is reported. A bug of the library is
 * ACSSCAN_STATUS_INTERNAL and ends no process; running out of memory does.
 *
 * Files. A scan reads the input that is named and, as the command does, the database files of this host
 * (/etc/acsscan/devices.d, /usr/share/acsscan/devices.d): acsscan_options names others, or leaves them
 * out.
 *
 * Stability. The soname changes when a compiled program would break. Enumerations grow: have a default.
 *
 * Text is UTF-8 without control characters, whatever the dump held. Nothing is written to any device,
 * and there is no network access.
 */


#ifndef ACSSCAN_H
#define ACSSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 A dump or a host, read and worked out. It does not change; threads may share it.
 */
typedef struct acsscan_scan acsscan_scan;

/*
 Functions that are being collected.
 */
typedef struct acsscan_builder acsscan_builder;


/*
 How a call ended.
 */
typedef enum acsscan_status {
    /*
     Done.
     */
    ACSSCAN_STATUS_OK = 0,
    /*
     An argument makes no sense: a NULL that is not allowed, a number that is too large, an unknown
     flag.
     */
    ACSSCAN_STATUS_INVALID_ARGUMENT = 1,
    /*
     It is not there: no function at this address, no such fact in the dump.
     */
    ACSSCAN_STATUS_NOT_FOUND = 2,
    /*
     The input could not be read.
     */
    ACSSCAN_STATUS_INPUT = 3,
    /*
     A bug of this library. What the call worked on is to be freed and not to be used otherwise.
     */
    ACSSCAN_STATUS_INTERNAL = 4,
} acsscan_status;

/*
 An answer.
 */
typedef enum acsscan_verdict {
    /*
     They may be assigned.
     */
    ACSSCAN_VERDICT_ASSIGNABLE = 0,
    /*
     They may not.
     */
    ACSSCAN_VERDICT_NOT_ASSIGNABLE = 1,
    /*
     The dump does not tell, or the specification leaves it open. Not a yes.
     */
    ACSSCAN_VERDICT_INCONCLUSIVE = 2,
    /*
     They may, because somebody has accepted what is left open, as an entry of the device database.
     */
    ACSSCAN_VERDICT_ACCEPTED = 3,
} acsscan_verdict;

/*
 What holds an isolation domain together: the weakest of its bonds.
 */
typedef enum acsscan_held_by {
    /*
     Nothing: one function, with the ports that lead to it only.
     */
    ACSSCAN_HELD_BY_NOTHING = 0,
    /*
     Direct traffic, proved.
     */
    ACSSCAN_HELD_BY_DIRECT = 1,
    /*
     Requester IDs that one function may use although they are another's.
     */
    ACSSCAN_HELD_BY_IMPERSONATION = 2,
    /*
     What the dump does not tell, or the specification leaves open.
     */
    ACSSCAN_HELD_BY_UNPROVEN = 3,
} acsscan_held_by;

/*
 Whether a structure is there.
 */
typedef enum acsscan_presence {
    /*
     Proved not to be there.
     */
    ACSSCAN_PRESENCE_ABSENT = 0,
    /*
     It is there.
     */
    ACSSCAN_PRESENCE_PRESENT = 1,
    /*
     The dump does not tell: never to be taken for absent.
     */
    ACSSCAN_PRESENCE_NOT_CAPTURED = 2,
} acsscan_presence;

/*
 What becomes of a transaction.
 */
typedef enum acsscan_disposition {
    /*
     It reaches the target below the root complex: no IOMMU sees it.
     */
    ACSSCAN_DISPOSITION_DIRECT = 0,
    /*
     The dump does not tell, or the specification leaves it open.
     */
    ACSSCAN_DISPOSITION_UNDETERMINED = 1,
    /*
     It is forced upstream into the root complex, where the IOMMU decides.
     */
    ACSSCAN_DISPOSITION_REDIRECTED = 2,
    /*
     It ends on the way, or is never sent.
     */
    ACSSCAN_DISPOSITION_BLOCKED = 3,
} acsscan_disposition;

/*
 What may be asked for when a scan is made; `acsscan_options.flags` is a sum of them. 0 assumes what
 Linux assumes.
 */
typedef enum acsscan_flag {
    /*
     Do not assume that the root complex passes traffic between its ports through the IOMMU.
     */
    ACSSCAN_FLAG_ROOT_COMPLEX_UNKNOWN = 1,
    /*
     Completions with Relaxed Ordering and I/O requests count, too, which no ACS control redirects.
     */
    ACSSCAN_FLAG_COUNT_RELAXED_AND_IO = 2,
    /*
     Do not trust functions of one device to use their own routing IDs only.
     */
    ACSSCAN_FLAG_DISTRUST_ROUTING_IDS = 4,
    /*
     Leave out the distribution's and the administrator's directories of database files.
     */
    ACSSCAN_FLAG_NO_DEFAULT_DATABASES = 8,
    /*
     The input is of this host: what its own directories of database files say of places counts.
     `acsscan_open_live()` knows that by itself.
     */
    ACSSCAN_FLAG_OWN_HOST = 16,
} acsscan_flag;

/*
 By what rule functions may be assigned to a guest.
 */
typedef enum acsscan_policy {
    /*
     The specification's: nothing that stays outside shares an isolation domain with them.
     */
    ACSSCAN_POLICY_SPEC = 0,
    /*
     The kernel's: they are whole IOMMU groups, but for bridges.
     */
    ACSSCAN_POLICY_LINUX = 1,
    /*
     libvirt's check: no switch downstream port above lacks ACS.
     */
    ACSSCAN_POLICY_LIBVIRT = 2,
    /*
     libvirt's check where `relaxed_acs_check` is on.
     */
    ACSSCAN_POLICY_LIBVIRT_RELAXED = 3,
} acsscan_policy;

/*
 Class of transaction.
 */
typedef enum acsscan_transaction {
    /*
     Memory request, not translated: the usual case.
     */
    ACSSCAN_TRANSACTION_MEMORY = 0,
    /*
     Memory request that claims that an IOMMU has translated it (ATS).
     */
    ACSSCAN_TRANSACTION_MEMORY_TRANSLATED = 1,
    /*
     Completion with Relaxed Ordering clear.
     */
    ACSSCAN_TRANSACTION_COMPLETION = 2,
    /*
     Completion with Relaxed Ordering set.
     */
    ACSSCAN_TRANSACTION_COMPLETION_RELAXED = 3,
    /*
     I/O request.
     */
    ACSSCAN_TRANSACTION_IO = 4,
} acsscan_transaction;

/*
 Address of a function.
 */
typedef struct acsscan_address {
    /*
     Segment group; Linux and libvirt call it domain. More than 16 bits occur.
     */
    uint32_t segment;
    /*
     Bus number.
     */
    uint8_t bus;
    /*
     Device number, 0 to 31.
     */
    uint8_t device;
    /*
     Function number, 0 to 7. With ARI in use, device and function are bits 7:3 and 2:0 of the
     function number, as in every tool of Linux.
     */
    uint8_t function;
} acsscan_address;

/*
 What a caller may know of a function beside its bytes. Set everything to 0, then `size`, then what
 is known.
 */
typedef struct acsscan_attributes {
    /*
     `sizeof(acsscan_attributes)`: later versions have more, and leave 0 what an earlier one lacks.
     */
    size_t size;
    /*
     Name of the driver that is bound to it; NULL if there is none, or it is not known.
     */
    const char *driver;
    /*
     IOMMU group that the kernel put it into; NULL if not known.
     */
    const uint32_t *kernel_group;
    /*
     Of a virtual function: its physical function; NULL if it is none, or not known.
     */
    const struct acsscan_address *physical_function;
    /*
     Whether the bytes are all of the kernel's own `config` file. Where that has 256 bytes, the kernel
     reads no more of the function, whatever it has.
     */
    bool is_whole_config_file;
} acsscan_attributes;

/*
 How a scan is made. Set everything to 0, then `size`, then what is wanted.
 */
typedef struct acsscan_options {
    /*
     `sizeof(acsscan_options)`: later versions have more, and leave 0 what an earlier one lacks.
     */
    size_t size;
    /*
     A sum of `acsscan_flag`.
     */
    uint32_t flags;
    /*
     How many database files are named.
     */
    size_t database_count;
    /*
     Database files, and directories of them: later ones win. NULL if there are none.
     */
    const char *const *databases;
    /*
     Root of the file system that has the distribution's and the administrator's directories of database
     files; NULL is `/`.
     */
    const char *database_root;
    /*
     The day for which acceptances count, as `2026-03-02`; NULL is today, in UTC.
     */
    const char *today;
} acsscan_options;

/*
 The ACS structure of a function (PCIe Base 6.x, §7.7.11 "ACS Extended Capability").
 */
typedef struct acsscan_acs {
    /*
     Whether the function has it. If not, the rest is 0.
     */
    enum acsscan_presence presence;
    /*
     Offset in configuration space.
     */
    uint16_t offset;
    /*
     ACS Capability register, as it reads: the bits of Linux's `PCI_ACS_SV` and those after it.
     */
    uint16_t capability;
    /*
     ACS Control register, as it reads.
     */
    uint16_t control;
} acsscan_acs;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Reads an address: `0000:00:1f.2`, `00:1f.2` (segment 0), libvirt's `pci_0000_00_1f_2`, or a path that
 ends with one of those.
 */
enum acsscan_status acsscan_address_parse(const char *text, struct acsscan_address *address, char **error);

/*
 Writes an address as `0000:00:1f.2` and a NUL into `buffer`, if `size` bytes are room enough: 17
 always are. `buffer` may be `NULL` if `size` is 0.
 */
enum acsscan_status acsscan_address_format(const struct acsscan_address *address,
                                           char *buffer,
                                           size_t size,
                                           char **error);

/*
 Version of the library, such as `0.1.0`. Static: not to be freed.
 */
const char *acsscan_version(void);

/*
 Frees a string that this library handed out through a `char **`. `NULL` is allowed.
 */
void acsscan_string_free(char *string);

/*
 Starts to collect functions. The result is the caller's: hand it to `acsscan_builder_finish()`, or
 to `acsscan_builder_free()`.
 */
struct acsscan_builder *acsscan_builder_new(void);

/*
 Adds a function: its configuration space from offset 0 on, 64, 256 or 4096 bytes, or as much of it
 as there is. What is not given counts as not captured, not as zero.

 `attributes` may be NULL. Functions may be added in any order; of one that is added more than once
 the record with the most bytes counts.
 */
enum acsscan_status acsscan_builder_add(struct acsscan_builder *builder,
                                        const struct acsscan_address *address,
                                        const uint8_t *bytes,
                                        size_t size,
                                        const struct acsscan_attributes *attributes,
                                        char **error);

/*
 Ends collecting, and works out the scan. The builder is freed, whatever the outcome.

 `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`.
 */
enum acsscan_status acsscan_builder_finish(struct acsscan_builder *builder,
                                           const struct acsscan_options *options,
                                           struct acsscan_scan **scan,
                                           char **error);

/*
 Drops what was collected. `NULL` is allowed.
 */
void acsscan_builder_free(struct acsscan_builder *builder);

/*
 Whether functions may be assigned to one guest together, by a rule, and why (not), in one sentence.

 `policy` is one of `acsscan_policy`. `why` may be NULL; else it is set to the sentence, which is the
 caller's, for `acsscan_string_free()`. That they may not is no error: the call succeeds.
 */
enum acsscan_status acsscan_check(const struct acsscan_scan *scan,
                                  const size_t *functions,
                                  size_t count,
                                  uint32_t policy,
                                  enum acsscan_verdict *verdict,
                                  char **why,
                                  char **error);

/*
 How many isolation domains there are. They are numbered from 0, by their lowest addresses.

 A domain is a set of functions that are not proved to be kept apart: one reaches another directly,
 may use its requester ID, or the dump does not tell.
 */
size_t acsscan_domain_count(const struct acsscan_scan *scan);

/*
 The isolation domain of a function. A port belongs to the domain of what is below it, if that is one.
 */
enum acsscan_status acsscan_domain_of(const struct acsscan_scan *scan,
                                      size_t function,
                                      size_t *domain,
                                      char **error);

/*
 The functions of an isolation domain, by address: writes as many as `room` into `functions`, and how
 many there are to `count`. With a `room` of 0, `functions` may be NULL.
 */
enum acsscan_status acsscan_domain_members(const struct acsscan_scan *scan,
                                           size_t domain,
                                           size_t *functions,
                                           size_t room,
                                           size_t *count,
                                           char **error);

/*
 What holds an isolation domain together.
 */
enum acsscan_status acsscan_domain_held_by(const struct acsscan_scan *scan,
                                           size_t domain,
                                           enum acsscan_held_by *held_by,
                                           char **error);

/*
 How many IOMMU groups Linux forms of these functions. They are numbered from 0, by their lowest
 addresses: not with the numbers that a running kernel gives them.
 */
size_t acsscan_group_count(const struct acsscan_scan *scan);

/*
 The IOMMU group that Linux puts a function into; ACSSCAN_STATUS_NOT_FOUND for those few that it puts
 into none. `certain` (NULL is allowed) is false where something had to be guessed, because the dump
 does not tell.
 */
enum acsscan_status acsscan_group_of(const struct acsscan_scan *scan,
                                     size_t function,
                                     size_t *group,
                                     bool *certain,
                                     char **error);

/*
 The functions of a group, by address: as `acsscan_domain_members()`.
 */
enum acsscan_status acsscan_group_members(const struct acsscan_scan *scan,
                                          size_t group,
                                          size_t *functions,
                                          size_t room,
                                          size_t *count,
                                          char **error);

/*
 How many functions there are. They are numbered from 0, in the order of their addresses.
 */
size_t acsscan_function_count(const struct acsscan_scan *scan);

/*
 The number of the function at an address; ACSSCAN_STATUS_NOT_FOUND if there is none.
 */
enum acsscan_status acsscan_function_find(const struct acsscan_scan *scan,
                                          const struct acsscan_address *address,
                                          size_t *function,
                                          char **error);

/*
 The address of a function.
 */
enum acsscan_status acsscan_function_address(const struct acsscan_scan *scan,
                                             size_t function,
                                             struct acsscan_address *address,
                                             char **error);

/*
 Vendor ID in the high 16 bits, device ID in the low ones; a virtual function's are its physical
 function's and the VF Device ID. ACSSCAN_STATUS_NOT_FOUND if the dump does not tell.
 */
enum acsscan_status acsscan_function_ids(const struct acsscan_scan *scan,
                                         size_t function,
                                         uint32_t *ids,
                                         char **error);

/*
 The ACS structure of a function, as its registers read. What the device database knows beside them
 is in the answers about domains and routes.
 */
enum acsscan_status acsscan_function_acs(const struct acsscan_scan *scan,
                                         size_t function,
                                         struct acsscan_acs *acs,
                                         char **error);

/*
 The IOMMU group that the running kernel had put the function into when the dump was taken;
 ACSSCAN_STATUS_NOT_FOUND if the dump does not tell. `acsscan_group_of()` predicts it.
 */
enum acsscan_status acsscan_function_kernel_group(const struct acsscan_scan *scan,
                                                  size_t function,
                                                  uint32_t *group,
                                                  char **error);

/*
 Scans the running host. Without privileges the kernel shows 64 bytes of each function, which are not
 enough: see `acsscan_problem()`.

 `sysfs_root` is where sysfs is, for containers; `NULL` is `/sys`. `options` may be `NULL`.
 On success `*scan` is the caller's, for `acsscan_close()`.
 */
enum acsscan_status acsscan_open_live(const char *sysfs_root,
                                      const struct acsscan_options *options,
                                      struct acsscan_scan **scan,
                                      char **error);

/*
 Scans a file or directory; its format is found out from the content, as the command does.

 `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`.
 */
enum acsscan_status acsscan_open_path(const char *path,
                                      const struct acsscan_options *options,
                                      struct acsscan_scan **scan,
                                      char **error);

/*
 Scans text in memory: the output of `lspci -xxxx`, with anything between its records. For bytes of
 configuration space see `acsscan_builder_new()`.

 `options` may be `NULL`. On success `*scan` is the caller's, for `acsscan_close()`; `bytes` is
 no longer needed then.
 */
enum acsscan_status acsscan_open_memory(const uint8_t *bytes,
                                        size_t size,
                                        const struct acsscan_options *options,
                                        struct acsscan_scan **scan,
                                        char **error);

/*
 Ends a scan. `NULL` is allowed.
 */
void acsscan_close(struct acsscan_scan *scan);

/*
 How many problems there were with single functions or files: bytes that may not be read, lines that are
 damaged; what is missing for them is *not captured*, never absent. Also database files that could not
 be used.
 */
size_t acsscan_problem_count(const struct acsscan_scan *scan);

/*
 One of these problems, in one line. `*text` is the caller's, for `acsscan_string_free()`.
 */
enum acsscan_status acsscan_problem(const struct acsscan_scan *scan,
                                    size_t problem,
                                    char **text,
                                    char **error);

/*
 What becomes of a transaction from one function to another, were `from` hostile.

 `transaction` is one of `acsscan_transaction`. `why` may be NULL; else it is set to one sentence
 that names the port and the bits which decide. It is the caller's, for `acsscan_string_free()`.
 */
enum acsscan_status acsscan_p2p(const struct acsscan_scan *scan,
                                size_t from,
                                size_t to,
                                uint32_t transaction,
                                enum acsscan_disposition *disposition,
                                char **why,
                                char **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ACSSCAN_H */
