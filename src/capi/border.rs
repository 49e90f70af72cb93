//! The border itself: status and error text, pointers that are checked before they are followed, and
//! panics that end here.

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::report::clean;

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CStatus {
    /// Done.
    Ok = 0,
    /// An argument makes no sense: a NULL that is not allowed, a number that is too large, an unknown
    /// flag.
    InvalidArgument = 1,
    /// It is not there: no function at this address, no such fact in the dump.
    NotFound = 2,
    /// The input could not be read.
    Input = 3,
    /// A bug of this library. What the call worked on is to be freed and not to be used otherwise.
    Internal = 4,
}

/// Why a call ends without an answer.
#[derive(Debug)]
pub(super) struct Failure {
    status: CStatus,
    text: String,
}

impl Failure {
    pub(super) fn argument(text: impl Into<String>) -> Self {
        Self { status: CStatus::InvalidArgument, text: text.into() }
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self { status: CStatus::NotFound, text: text.into() }
    }

    pub(super) fn input(text: impl Into<String>) -> Self {
        Self { status: CStatus::Input, text: text.into() }
    }
}

/// Runs the body of a call, and turns a failure, or a panic, into status and text.
pub(super) unsafe fn call(error: *mut *mut c_char, body: impl FnOnce() -> Result<(), Failure>) -> CStatus {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let text = String::from("internal error: please report it, with the input");
        Err(Failure { status: CStatus::Internal, text })
    });
    let (status, text) = match outcome {
        Ok(()) => (CStatus::Ok, core::ptr::null_mut()),
        Err(failure) => (failure.status, owned(&failure.text)),
    };
    if error.is_null() {
        // SAFETY: nobody else has the text.
        unsafe { acsscan_string_free(text) };
    } else {
        // SAFETY: not NULL, and so, by the module's contract, a pointer that may be written.
        unsafe { error.write(text) };
    }
    status
}

/// Runs the body of a call that cannot fail; were it to panic, the answer is the default.
pub(super) fn plain<T: Default>(body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_default()
}

/// A line of text for the caller.
pub(super) fn owned(text: &str) -> *mut c_char {
    // No NUL is left: control characters are escaped.
    CString::new(clean(text).as_ref()).unwrap_or_default().into_raw()
}

/// What a pointer points to.
pub(super) unsafe fn follow<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: NULL, or by the module's contract valid for the call.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// A structure that begins with its own size, which the caller set. An earlier version's is shorter: what it lacks
/// is 0, as its caller would have set it. A later version's is longer: what this one does not know has to be 0.
///
/// `T` is of numbers and pointers alone, for which 0 is a value.
pub(super) unsafe fn sized<T: Copy>(pointer: *const T, name: &str) -> Result<T, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and by the module's contract readable as far as its own size says.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(Failure::argument(format!("{name}.size is not set: sizeof(acsscan_{name})")));
    }
    // SAFETY: passed on.
    let given = unsafe { slice(pointer.cast::<u8>(), size, name) }?;
    let (known, later) = given.split_at(size.min(size_of::<T>()));
    if later.iter().any(|byte| *byte != 0) {
        let text = format!("{name} sets what this version does not know: it was made for a later one");
        return Err(Failure::argument(text));
    }
    let mut whole = MaybeUninit::<T>::zeroed();
    // SAFETY: no more bytes than there are in either, of different memory; zeros are a value of `T`.
    unsafe {
        core::ptr::copy_nonoverlapping(known.as_ptr(), whole.as_mut_ptr().cast(), known.len());
        Ok(whole.assume_init())
    }
}

/// What a pointer points to, to be changed.
pub(super) unsafe fn follow_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: NULL, or by the module's contract valid for the call, and nobody else's meanwhile.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// The memory at an address; of no bytes it may be NULL.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    let too_long = len.checked_mul(size_of::<T>()).is_none_or(|bytes| isize::try_from(bytes).is_err());
    if pointer.is_null() || too_long {
        return Err(null(name));
    }
    // SAFETY: not NULL, no longer than memory can be, and by the module's contract readable.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// A string.
pub(super) unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and by the module's contract ends with a NUL.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// A string that is UTF-8.
pub(super) unsafe fn utf8<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: passed on.
    let string = unsafe { string(pointer, name) }?;
    string.to_str().map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// A place for an output that must be given: checked before the work, written after it.
pub(super) struct Output<T>(*mut T);

impl<T> Output<T> {
    pub(super) fn new(pointer: *mut T, name: &str) -> Result<Self, Failure> {
        if pointer.is_null() { Err(null(name)) } else { Ok(Self(pointer)) }
    }

    pub(super) unsafe fn write(self, value: T) {
        // SAFETY: not NULL, and by the module's contract writable for the call.
        unsafe { self.0.write(value) };
    }
}

/// Copies as many values as a buffer has room for.
pub(super) unsafe fn fill<T>(buffer: *mut T, room: usize, values: impl Iterator<Item = T>) {
    if buffer.is_null() {
        return;
    }
    for (n, value) in values.take(room).enumerate() {
        // SAFETY: n is below the room that the caller says there is.
        unsafe { buffer.add(n).write(value) };
    }
}

fn null(name: &str) -> Failure {
    Failure::argument(format!("{name} is NULL, or longer than memory"))
}

/// Version of the library, such as `0.1.0`. Static: not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn acsscan_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Frees a string that this library handed out through a `char **`. `NULL` is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acsscan_string_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: by the module's contract it is one of those that `owned` made.
        drop(unsafe { CString::from_raw(string) });
    }
}
