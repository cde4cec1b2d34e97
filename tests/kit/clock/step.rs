//! A wall clock that can be stepped, for one process: loaded before the system's library, it adds
//! to the real time as many seconds as the file named by `CLOCK_STEP_FILE` says at that moment. The
//! monotonic clock stays as it is.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::OnceLock;

const REALTIME: c_int = 0;
/// "The next one behind this library."
const NEXT: *mut c_void = -1_isize as *mut c_void;

#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: c_long,
}

type ClockGetTime = unsafe extern "C" fn(c_int, *mut Time) -> c_int;

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn system() -> Option<ClockGetTime> {
    static SYSTEM: OnceLock<Option<ClockGetTime>> = OnceLock::new();
    *SYSTEM.get_or_init(|| {
        // SAFETY: the name is the one of a function with that very signature.
        unsafe { std::mem::transmute(dlsym(NEXT, c"clock_gettime".as_ptr())) }
    })
}

fn step() -> i64 {
    let step = std::env::var_os("CLOCK_STEP_FILE").and_then(|path| std::fs::read_to_string(path).ok());
    step.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// As in the system's library.
///
/// # Safety
/// `time` points to where a time may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    let Some(system) = system() else { return -1 };
    // SAFETY: both arguments are passed on as they came.
    let result = unsafe { system(clock, time) };
    if clock == REALTIME && result == 0 {
        // SAFETY: the system has just written there.
        unsafe { (*time).seconds += step() };
    }
    result
}
