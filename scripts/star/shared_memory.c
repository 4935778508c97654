/* SysV shared memory in files, for a program that needs shared memory where the system refuses it.
 *
 * Loaded before the C library (LD_PRELOAD) it replaces shmget, shmat, shmdt and shmctl. A segment is a file in the
 * folder SHARED_MEMORY_FOLDER; its id, which is also the name of the file, is that of its key. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 16
static struct {
    void *address;
    size_t size;
} attached[MOST];

static int path_of(int id, char *path, size_t room) {
    const char *folder = getenv("SHARED_MEMORY_FOLDER");
    if (folder == NULL || snprintf(path, room, "%s/%d", folder, id) >= (int)room) {
        errno = ENOSYS;
        return -1;
    }
    return 0;
}

static int open_segment(int id, int flags) {
    char path[4096];
    return path_of(id, path, sizeof path) ? -1 : open(path, flags | O_RDWR | O_CLOEXEC, 0600);
}

int shmget(key_t key, size_t size, int flags) {
    int id = key & 0x7fffffff;
    int file = open_segment(id, (flags & IPC_CREAT ? O_CREAT : 0) | (flags & IPC_EXCL ? O_EXCL : 0));
    if (file < 0)
        return -1;
    /* take the room now: later, a full disk would end the program by SIGBUS */
    if ((flags & IPC_CREAT) && fallocate(file, 0, 0, size) && (errno != EOPNOTSUPP || ftruncate(file, size))) {
        char path[4096];
        if (!path_of(id, path, sizeof path))
            unlink(path);
        close(file);
        errno = ENOMEM;
        return -1;
    }
    close(file);
    return id;
}

void *shmat(int id, const void *address, int flags) {
    struct stat status;
    void *mapped = MAP_FAILED;
    int file = open_segment(id, 0), slot = 0;
    (void)address;
    while (slot < MOST && attached[slot].address != NULL)
        slot++;
    if (file >= 0 && slot < MOST && !fstat(file, &status))
        mapped = mmap(NULL, status.st_size, PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE), MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    if (mapped == MAP_FAILED)
        return (void *)-1;
    attached[slot].address = mapped;
    attached[slot].size = status.st_size;
    return mapped;
}

int shmdt(const void *address) {
    for (int slot = 0; slot < MOST; slot++)
        if (address != NULL && attached[slot].address == address) {
            attached[slot].address = NULL;
            return munmap((void *)address, attached[slot].size);
        }
    errno = EINVAL;
    return -1;
}

int shmctl(int id, int command, struct shmid_ds *status) {
    char path[4096];
    struct stat file;
    if (path_of(id, path, sizeof path) || stat(path, &file))
        return -1;
    if (command == IPC_RMID)
        return unlink(path);
    if (command == IPC_STAT) {
        memset(status, 0, sizeof *status);
        status->shm_segsz = file.st_size;
        status->shm_nattch = 1;
    }
    return 0;
}
