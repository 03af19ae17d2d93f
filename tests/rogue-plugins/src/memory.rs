//! An allocator of the library's own. Memory that the host freed with its allocator would be noticed: each
//! block carries a mark in front.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};

struct Marked;

#[global_allocator]
static MARKED: Marked = Marked;

const MARK: usize = 0x5ca9_b71d;

/// Room for the mark that keeps the block aligned.
fn padded(layout: Layout) -> (Layout, usize) {
    let room = layout.align().max(size_of::<usize>());
    let padded = Layout::from_size_align(layout.size() + room, room).expect("a block of a test is small");
    (padded, room)
}

// SAFETY: blocks are the system's, shifted by `room` in both directions alike.
unsafe impl GlobalAlloc for Marked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (padded, room) = padded(layout);
        // SAFETY: the padded layout has a size.
        unsafe {
            let block = System.alloc(padded);
            if block.is_null() {
                return block;
            }
            block.cast::<usize>().write(MARK);
            block.add(room)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (padded, room) = padded(layout);
        // SAFETY: every block that comes back is one that `alloc` gave out; the mark proves it.
        unsafe {
            let block = block.sub(room);
            if block.cast::<usize>().read() != MARK {
                std::process::abort();
            }
            System.dealloc(block, padded);
        }
    }
}
