//! Decodes a function without std, without an allocator and without a C library.
//!
//! There is no global allocator and nothing to link against, so that anything that allocates, or that
//! calls the operating system, fails to build. The program checks its answers as well: it ends with
//! status 0 if they are right, with 1 if not.
#![no_std]
#![no_main]
// The memory functions below must not be compiled into calls of themselves.
#![no_builtins]

use core::arch::{asm, global_asm};

use acsscan::addr::Sbdf;
use acsscan::cap::acs::{Acs, AcsControl};
use acsscan::cap::id::{CapabilityId, ExtendedCapabilityId};
use acsscan::cap::list;
use acsscan::cap::pcie::{DevicePortType, Pcie};
use acsscan::config::ConfigSpace;

/// A root port: PCI Express at 40h, ACS at 100h.
fn root_port() -> [u8; 0x108] {
    let mut bytes = [0; 0x108];
    bytes[..4].copy_from_slice(&[0x86, 0x80, 0x94, 0xa2]);
    bytes[0x06] = 0x10;
    bytes[0x0e] = 0x01;
    bytes[0x34] = 0x40;
    bytes[0x40..0x44].copy_from_slice(&[0x10, 0x00, 0x42, 0x00]);
    bytes[0x100..].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
    bytes
}

fn decode(bytes: &[u8]) -> Option<()> {
    let config = ConfigSpace::new(bytes);
    let address: Sbdf = "0000:00:1c.0".parse().ok()?;
    let pcie = list::find(&config, CapabilityId::PCI_EXPRESS).present()?;
    let port = Pcie::read(&config, pcie)?.device_port_type();
    let acs = list::find_extended(&config, ExtendedCapabilityId::ACS).present()?;
    let acs = Acs::read(&config, acs)?;
    let right = address.bdf.device() == 0x1c
        && port == DevicePortType::RootPort
        && acs.control.contains(AcsControl::UPSTREAM_FORWARDING)
        && acs.anomaly().is_none();
    right.then_some(())
}

// Where the program starts: there is no C library to do it. A call leaves the stack aligned as a
// function expects it.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "call {}", sym start);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "bl {}", sym start);

extern "C" fn start() -> ! {
    let bytes = core::hint::black_box(root_port());
    exit(i32::from(decode(&bytes).is_none()))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// Linux's exit_group.
fn exit(status: i32) -> ! {
    // SAFETY: the call takes one number and does not return.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", in("rax") 231, in("rdi") status, options(noreturn, nostack));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") 94, in("x0") status, options(noreturn, nostack));
    }
}

/// The precompiled `core` names it; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The memory functions that compiled code expects everywhere, on bare metal too.
mod memory {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        for n in 0..count {
            // SAFETY: the caller vouches for `count` bytes on both sides.
            unsafe { *to.add(n) = *from.add(n) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        if to.cast_const() < from {
            // SAFETY: as promised by the caller; forwards never overtakes the source.
            return unsafe { memcpy(to, from, count) };
        }
        for n in (0..count).rev() {
            // SAFETY: the caller vouches for `count` bytes on both sides.
            unsafe { *to.add(n) = *from.add(n) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
        for n in 0..count {
            // SAFETY: the caller vouches for `count` bytes.
            unsafe { *to.add(n) = byte as u8 };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
        for n in 0..count {
            // SAFETY: the caller vouches for `count` bytes on both sides.
            let (a, b) = unsafe { (*a.add(n), *b.add(n)) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
        // SAFETY: as promised by the caller.
        unsafe { memcmp(a, b, count) }
    }
}
