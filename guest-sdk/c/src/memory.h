/* Memory that lives as long as a call. */
#ifndef WASAGA_MEMORY_H
#define WASAGA_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed. A guest without memory traps. */
void *memory_take(size_t size);
/* Twice the elements, or a first few, when `count` has reached a power of two. */
void *memory_grown(void *elements, size_t count, size_t size);
/* A copy with a NUL behind it. */
char *memory_text(const void *bytes, size_t length);
/* All that was taken is given back: a call begins. */
void memory_reset(void);

#endif
