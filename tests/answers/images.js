// Who makes the peak? decodeImages: 200 buffers of 100,000 bytes.
function decodeImages(n) {
  const images = [];
  for (let i = 0; i < n; i++) images.push(new Uint8Array(100_000));
  return images;
}

function main() {
  return decodeImages(200).length;
}

main();
