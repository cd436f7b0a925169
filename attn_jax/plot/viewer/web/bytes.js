// Arrays that were compressed and written in base64.

/** Decompresses a text into bytes. */
export async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Puts together numbers whose bytes were written plane by plane, the lowest first. */
export function joinPlanes(bytes, size) {
  const count = bytes.length / size;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) joined[i * size + plane] = bytes[plane * count + i];
  }
  return joined.buffer;
}
