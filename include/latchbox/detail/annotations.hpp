// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

// Which mutex guards what, for clang's -Wthread-safety. The attributes have no [[...]] spelling,
// and other compilers warn of them, so they are empty there.
#if defined(__clang__)
#define LATCHBOX_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define LATCHBOX_THREAD_ANNOTATION(x)
#endif

#define LATCHBOX_CAPABILITY LATCHBOX_THREAD_ANNOTATION(capability("mutex"))
#define LATCHBOX_SCOPED_CAPABILITY LATCHBOX_THREAD_ANNOTATION(scoped_lockable)
#define LATCHBOX_GUARDED_BY(x) LATCHBOX_THREAD_ANNOTATION(guarded_by(x))
#define LATCHBOX_REQUIRES(x) LATCHBOX_THREAD_ANNOTATION(requires_capability(x))
#define LATCHBOX_ACQUIRE(...) LATCHBOX_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define LATCHBOX_RELEASE(...) LATCHBOX_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
// For a function that returns with or without the lock, by what it returns: beyond the analysis.
#define LATCHBOX_UNCHECKED LATCHBOX_THREAD_ANNOTATION(no_thread_safety_analysis)
