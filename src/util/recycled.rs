//! Allocations that a thread uses again.
//!
//! Every request has a few values that live until its response ends. Their allocations go to the next
//! request of the thread instead of the allocator. A value is dropped at once: only its room stays.

use std::cell::RefCell;
use std::fmt;
use std::thread::LocalKey;

/// A value in an allocation of its own, which the thread that drops it uses again.
pub(crate) struct Recycled<T: Recycle>(Option<Room<T>>);

/// A type with a store of free allocations.
pub(crate) trait Recycle: Sized + 'static {
    /// Returns the store of this thread.
    fn rooms() -> &'static LocalKey<Rooms<Self>>;
}

/// The free allocations of one thread: 16 at most.
pub(crate) type Rooms<T> = RefCell<Vec<Room<T>>>;

/// Room for one value.
type Room<T> = Box<Option<T>>;

impl<T: Recycle> Recycled<T> {
    pub(crate) fn new(value: T) -> Self {
        // Fails only while the thread ends.
        let free = T::rooms().try_with(|rooms| rooms.try_borrow_mut().ok()?.pop());
        Self(Some(match free {
            Ok(Some(mut room)) => {
                *room = Some(value);
                room
            }
            _ => Box::new(Some(value)),
        }))
    }

    /// Returns the value; `None` after [`take`](Self::take).
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()?.as_ref()
    }

    /// Returns the value, mutable; `None` after [`take`](Self::take).
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()?.as_mut()
    }

    /// Moves the value with its allocation out of here.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl<T: Recycle> Drop for Recycled<T> {
    fn drop(&mut self) {
        let Some(mut room) = self.0.take() else { return };
        *room = None;
        let give_back = |rooms: &Rooms<T>| {
            if let Ok(mut rooms) = rooms.try_borrow_mut()
                && rooms.len() < MAX_ROOMS
            {
                rooms.push(room);
            }
        };
        // Fails only while the thread ends.
        T::rooms().try_with(give_back).ok();
    }
}

impl<T: Recycle + Clone> Clone for Recycled<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or(Self(None), Self::new)
    }
}

impl<T: Recycle + fmt::Debug> fmt::Debug for Recycled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

const MAX_ROOMS: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Debug)]
    struct Counted(Arc<()>);

    thread_local! {
        static ROOMS: Rooms<Counted> = const { RefCell::new(Vec::new()) };
    }

    impl Recycle for Counted {
        fn rooms() -> &'static LocalKey<Rooms<Self>> {
            &ROOMS
        }
    }

    fn free() -> usize {
        ROOMS.with(|rooms| rooms.borrow().len())
    }

    #[test]
    fn a_dropped_value_leaves_its_room_and_nothing_else() {
        let value = Arc::new(());
        let one = Recycled::new(Counted(Arc::clone(&value)));
        let two = one.clone();
        assert!(two.get().is_some_and(|two| Arc::ptr_eq(&two.0, &value)));
        assert_eq!(Arc::strong_count(&value), 3);
        drop((one, two));
        assert_eq!((Arc::strong_count(&value), free()), (1, 2));
        assert!(ROOMS.with(|rooms| rooms.borrow().iter().all(|room| room.is_none())));
        let mut again = Recycled::new(Counted(Arc::clone(&value)));
        assert_eq!(free(), 1);
        let taken = again.take();
        assert!(
            again.get().is_none() && again.get_mut().is_none() && again.clone().get().is_none()
        );
        drop(again);
        assert_eq!((Arc::strong_count(&value), free()), (2, 1));
        assert!(taken.get().is_some());
        drop(taken);
        assert_eq!((Arc::strong_count(&value), free()), (1, 2));
    }

    #[test]
    fn a_thread_holds_few_free_rooms() {
        let all: Vec<_> = (0..100).map(|_| Recycled::new(Counted(Arc::new(())))).collect();
        drop(all);
        assert_eq!(free(), MAX_ROOMS);
        // Another thread has rooms of its own.
        let moved = Recycled::new(Counted(Arc::new(())));
        let there = std::thread::spawn(move || {
            drop(moved);
            free()
        });
        assert_eq!((there.join().unwrap(), free()), (1, MAX_ROOMS - 1));
    }
}
