//! Objects that terms refer to. rustler looks into a hash map at each call to know of which type
//! an object has to be, which is more than a read can spare; a [`Type`] knows it.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use rustler::sys::{
    self, ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor,
    ErlNifResourceFlags, ErlNifResourceType,
};
use rustler::types::LocalPid;
use rustler::{Env, Term};

use super::allocator::ALIGN_MAX;

/// A type that is opened while the library is loaded, before anybody can call it.
pub struct Opened(AtomicPtr<ErlNifResourceType>);

impl Opened {
    pub const fn not_yet() -> Self {
        Opened(AtomicPtr::new(null_mut()))
    }

    /// With what drops an object, unless it is null. False: the virtual machine refuses, and the
    /// library may not be loaded.
    pub fn open(&self, env: Env, name: &CStr, dtor: *const ErlNifResourceDtor) -> bool {
        self.open_with(env, name, dtor, ptr::null())
    }

    /// As `open`, with what is told of the death of a process, unless it is null.
    fn open_with(
        &self,
        env: Env,
        name: &CStr,
        dtor: *const ErlNifResourceDtor,
        down: *const ErlNifResourceDown,
    ) -> bool {
        let init = sys::ErlNifResourceTypeInit {
            dtor,
            stop: ptr::null(),
            down,
            // The destructor alone, or all three.
            members: if down.is_null() { 1 } else { 3 },
            dyncall: ptr::null(),
        };
        let mut tried = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
        // SAFETY: all places outlive the call. As with rustler's `Env::register`, a type that is
        // opened later than in the load is of no use, but does no harm.
        let opened = unsafe {
            let flags = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
            sys::enif_init_resource_type(env.as_c_arg(), name.as_ptr(), &init, flags, &mut tried)
        };
        self.0.store(opened.cast_mut(), Ordering::Release);
        !opened.is_null()
    }

    /// Never null.
    pub fn get(&self) -> *const ErlNifResourceType {
        let opened = self.0.load(Ordering::Acquire);
        if opened.is_null() {
            // The load forgot to open it: a fault of ours that the first test would meet.
            std::process::abort();
        }
        opened
    }
}

/// The objects are dropped when the last term that refers to them is gone, on any thread.
pub struct Type<T> {
    opened: Opened,
    objects: PhantomData<T>,
}

impl<T: Send + Sync + 'static> Type<T> {
    pub const fn new() -> Self {
        const { assert!(align_of::<T>() <= ALIGN_MAX) };
        Type { opened: Opened::not_yet(), objects: PhantomData }
    }

    /// While the library is loaded; false: it may not be.
    pub fn open(&self, env: Env, name: &CStr) -> bool {
        self.opened.open(env, name, drop_object::<T> as *const ErlNifResourceDtor)
    }

    /// A term that keeps the object.
    pub fn term<'a>(&self, env: Env<'a>, object: T) -> Term<'a> {
        // SAFETY: the type is open. The place is fresh, large enough and aligned; what it holds is
        // given to the term.
        unsafe {
            let place = sys::enif_alloc_resource(self.opened.get(), size_of::<T>());
            place.cast::<T>().write(object);
            let term = sys::enif_make_resource(env.as_c_arg(), place);
            sys::enif_release_resource(place);
            Term::new(env, term)
        }
    }

    /// Holds a fresh object, of which there may be no term yet.
    pub fn hold(&self, object: T) -> Held<T> {
        // SAFETY: the type is open. The place is fresh, never null, large enough and aligned. The
        // one reference that the virtual machine counts is ours.
        unsafe {
            let place = sys::enif_alloc_resource(self.opened.get(), size_of::<T>()).cast::<T>();
            place.write(object);
            Held(NonNull::new_unchecked(place))
        }
    }

    /// The object that a term refers to; none if it is not such a term.
    pub fn object<'a>(&self, term: Term<'a>) -> Option<&'a T> {
        let mut place = null_mut::<c_void>();
        // SAFETY: the environment is the term's own. After success the place is that of an object
        // of this type, which lives as long as the term.
        unsafe {
            let (env, opened) = (term.get_env().as_c_arg(), self.opened.get());
            let is_one = sys::enif_get_resource(env, term.as_c_arg(), opened, &raw mut place as _);
            (is_one != 0).then(|| &*place.cast::<T>())
        }
    }
}

/// An object that is told when a process has ended.
pub trait Monitor: Send + Sync + 'static {
    /// On any scheduler: for moments.
    fn down(&self);
}

impl<T: Monitor> Type<T> {
    /// As [`Type::open`], for objects that watch processes.
    pub fn open_monitoring(&self, env: Env, name: &CStr) -> bool {
        let drop = drop_object::<T> as *const ErlNifResourceDtor;
        self.opened.open_with(env, name, drop, down::<T> as *const ErlNifResourceDown)
    }
}

impl<T: Send + Sync + 'static> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the object lives, since we hold it, and nobody changes it.
        unsafe { self.0.as_ref() }
    }
}

/// An object that is held without a term.
pub struct Held<T: 'static>(NonNull<T>);

// SAFETY: it is a counted reference of an object that any thread may use; the count is atomic.
unsafe impl<T: Send + Sync> Send for Held<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Held<T> {}

impl<T: Send + Sync + 'static> Held<T> {
    /// The same term each time.
    pub fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the object lives, since we hold it.
        unsafe { Term::new(env, sys::enif_make_resource(env.as_c_arg(), self.0.as_ptr().cast())) }
    }
}

impl<T: Monitor> Held<T> {
    /// Tells the object when the process ends. False: it has ended.
    pub fn monitor(&self, env: Env, pid: &LocalPid) -> bool {
        self.monitor_in(env.as_c_arg(), pid)
    }

    /// As [`Held::monitor`], from a thread that is no scheduler.
    pub fn monitor_from_thread(&self, pid: &LocalPid) -> bool {
        self.monitor_in(null_mut(), pid)
    }

    /// `env`: that of the call, or null on a thread that is no scheduler.
    fn monitor_in(&self, env: *mut ErlNifEnv, pid: &LocalPid) -> bool {
        // SAFETY: the object lives, since we hold it, and is of a type with such a callback. The
        // monitor is not wanted back: it goes with the object.
        unsafe {
            let (object, pid) = (self.0.as_ptr().cast(), ptr::from_ref(pid.as_c_arg()));
            sys::enif_monitor_process(env, object, pid, null_mut()) == 0
        }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: it was kept by `Type::hold`, once for each of us.
        unsafe { sys::enif_release_resource(self.0.as_ptr().cast()) };
    }
}

/// # Safety
/// Called by the virtual machine alone, with an object of the type.
unsafe extern "C" fn down<T: Monitor>(
    _env: *mut ErlNifEnv,
    place: *mut c_void,
    _pid: *const ErlNifPid,
    _monitor: *const ErlNifMonitor,
) {
    // SAFETY: by our own contract; the object lives until this returns. A panic may not reach the
    // virtual machine.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe { (*place.cast::<T>()).down() }));
}

/// # Safety
/// Called by the virtual machine alone, once for each object of the type.
unsafe extern "C" fn drop_object<T>(_env: *mut ErlNifEnv, place: *mut c_void) {
    // SAFETY: by our own contract. A panic may not reach the virtual machine.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { place.cast::<T>().read() })));
}
