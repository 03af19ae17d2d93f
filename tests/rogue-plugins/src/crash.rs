//! Crashes of the process, as a faulty C library causes them.

/// Crashes if `act` is one of these faults.
pub(crate) fn crash(act: &str) {
    match act {
        "segfault-in-write" => segfault(),
        "abort-in-write" => std::process::abort(),
        "overflow-in-write" => drop(overflow(1)),
        "segfault-in-a-thread" => drop(std::thread::spawn(segfault).join()),
        "panic-in-drop" => std::panic::panic_any(PanicInDrop),
        _ => {}
    }
}

#[expect(unsafe_code, reason = "an invalid memory access on purpose")]
fn segfault() {
    // SAFETY: none; the invalid access is the purpose.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
}

/// Calls itself until the stack is full.
#[expect(unconditional_recursion, reason = "the stack overflow is the purpose")]
fn overflow(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + block[0]
}

/// A panic payload whose destructor panics too.
struct PanicInDrop;

impl Drop for PanicInDrop {
    fn drop(&mut self) {
        panic!("panic requested in the destructor of a panic payload");
    }
}
