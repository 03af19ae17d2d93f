//! The library's own allocator. Each block begins with a marker, so that freeing memory of another allocator is
//! detected.
#![expect(unsafe_code, reason = "the trait `GlobalAlloc` is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};

struct Marked;

#[global_allocator]
static MARKED: Marked = Marked;

const MARKER: usize = 0x5ca9_b71d;

/// The layout of a block with its marker, and the size of the marker. The size keeps the block aligned.
fn padded(layout: Layout) -> (Layout, usize) {
    let offset = layout.align().max(size_of::<usize>());
    let padded =
        Layout::from_size_align(layout.size() + offset, offset).expect("the blocks of a test are small");
    (padded, offset)
}

// SAFETY: blocks come from the system allocator; `alloc` and `dealloc` shift them by the same offset.
unsafe impl GlobalAlloc for Marked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (padded, offset) = padded(layout);
        // SAFETY: the size of the padded layout is not zero.
        unsafe {
            let block = System.alloc(padded);
            if block.is_null() {
                return block;
            }
            block.cast::<usize>().write(MARKER);
            block.add(offset)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (padded, offset) = padded(layout);
        // SAFETY: every freed block comes from `alloc`; the marker proves it.
        unsafe {
            let block = block.sub(offset);
            if block.cast::<usize>().read() != MARKER {
                std::process::abort();
            }
            System.dealloc(block, padded);
        }
    }
}
