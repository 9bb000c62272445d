#include "memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct piece {
  struct piece *next;
  max_align_t bytes[];
} piece;

static piece *pieces;

void *memory_take(size_t size) {
  piece *taken = calloc(1, sizeof(piece) + size);
  if (taken == NULL) abort();
  taken->next = pieces;
  pieces = taken;
  return taken->bytes;
}

void *memory_grown(void *elements, size_t count, size_t size) {
  if ((count & (count - 1)) != 0) return elements;
  void *grown = memory_take((count == 0 ? 1 : 2 * count) * size);
  if (count > 0) memcpy(grown, elements, count * size);
  return grown;
}

char *memory_text(const void *bytes, size_t length) {
  char *text = memory_take(length + 1);
  if (length > 0) memcpy(text, bytes, length);
  return text;
}

void memory_reset(void) {
  while (pieces != NULL) {
    piece *next = pieces->next;
    free(pieces);
    pieces = next;
  }
}
