"""A filter of system calls (seccomp) for student code: it refuses calls that affect other processes, the network or the kernel.

A second line of defence after namespaces and dropped privileges: a refused call fails with EPERM, an ordinary error.
Loaded by file path in the fork server; Linux on x86-64 and 64-bit Arm.
"""

from __future__ import annotations

import ctypes
import platform
import struct

# Calls by number; None where the architecture has no such call. From the kernel's tables for x86-64 and arm64.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # the kernel and the machine
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "fanotify_init": (300, 262),
    # keyrings outlive processes: notes could be left in them
    # memory that belongs to no process or outlives it
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
SOCKET, CLONE, CLONE3, KILL_CALL = (41, 198), (56, 220), (435, 435), (62, 129)
EVERYTHING = 0xFFFFFFFF  # -1, as a process id
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000  # x86-64's second table of numbers, which is refused as a whole
AF_UNIX = 1
NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW... flag

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 1, 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def program(machine: str, network: bool = False) -> bytes:
    """The filter for a machine ("x86_64", "aarch64"), as instructions of classic BPF. Raises KeyError for other machines.

    network: whether sockets of other kinds than Unix's may be made.
    """
    column, architecture = ARCHITECTURES[machine]
    code: list[tuple[int, int, int, int]] = []

    def refuse_if(jump: int, value: int, error: int) -> None:
        code.append((jump, 0, 1, value))
        code.append((RETURN, 0, 0, _error(error)))

    code.append((LOAD, 0, 0, ARCHITECTURE))
    code.append((EQUAL, 1, 0, architecture))
    code.append((RETURN, 0, 0, KILL))
    code.append((LOAD, 0, 0, NUMBER))
    if machine == "x86_64":
        refuse_if(AT_LEAST, X32, EPERM)
    for numbers in REFUSED.values():
        number = numbers[column]
        if number is not None:
            refuse_if(EQUAL, number, EPERM)
    # kill(-1): a signal to everything that the sender may signal.
    code.append((EQUAL, 0, 4, KILL_CALL[column]))
    code.append((LOAD, 0, 0, FIRST_ARGUMENT))
    code.append((EQUAL, 0, 1, EVERYTHING))
    code.append((RETURN, 0, 0, _error(EPERM)))
    code.append((RETURN, 0, 0, ALLOW))
    # The C library falls back to clone, whose flags the filter can read; those of clone3 are in memory.
    refuse_if(EQUAL, CLONE3[column], ENOSYS)
    code.append((EQUAL, 0, 4, CLONE[column]))
    code.append((LOAD, 0, 0, FIRST_ARGUMENT))
    code.append((ANY_BIT, 0, 1, NEW_NAMESPACES))
    code.append((RETURN, 0, 0, _error(EPERM)))
    code.append((RETURN, 0, 0, ALLOW))
    if not network:
        code.append((EQUAL, 0, 3, SOCKET[column]))
        code.append((LOAD, 0, 0, FIRST_ARGUMENT))
        code.append((EQUAL, 1, 0, AF_UNIX))
        code.append((RETURN, 0, 0, _error(EPERM)))
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _error(number: int) -> int:
    return 0x00050000 | number


def install(network: bool = False) -> bool:
    """Installs the filter for this process and all its children, permanently. False if the machine or kernel does not support it.

    Needs no-new-privileges to be set before, or CAP_SYS_ADMIN. network: see `program`.
    """
    try:
        code = program(platform.machine(), network)
    except KeyError:
        return False
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    nothing = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), whole, nothing, nothing) == 0)
