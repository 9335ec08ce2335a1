// Pixels of FITS (the first pixel is 1, y upwards), of the deep-zoom library (from the top left), and the sky.

export function toLibrary(facts, x, y) {
  return { x: (x - 0.5) / facts.nx, y: (facts.ny - y + 0.5) / facts.nx };
}

export function fromLibrary(facts, point) {
  return { x: point.x * facts.nx + 0.5, y: facts.ny - point.y * facts.nx + 0.5 };
}

// `matrix` holds arcsec to the east and north for a pixel along x, then along y.
export function skyNear(point, x, y) {
  const [ex, nx, ey, ny] = point.matrix;
  const dx = x - point.x, dy = y - point.y;
  const dec = point.dec + (dx * nx + dy * ny) / 3600;
  const ra = point.ra + (dx * ex + dy * ey) / 3600 / Math.cos((point.dec * Math.PI) / 180);
  return { ra: ((ra % 360) + 360) % 360, dec };
}

// The step in pixels that leads `east` and `north` arcsec over the sky.
export function pixelStep(matrix, east, north) {
  const [ex, nx, ey, ny] = matrix;
  const area = ex * ny - ey * nx;
  return { x: (ny * east - ey * north) / area, y: (ex * north - nx * east) / area };
}

export function sexagesimal(ra, dec) {
  return `${parts(ra / 15, 3, "")} ${parts(Math.abs(dec), 2, dec < 0 ? "-" : "+")}`;
}

function parts(value, digits, sign) {
  const scale = 10 ** digits;
  const total = Math.round(value * 3600 * scale);
  const seconds = (total / scale) % 60, minutes = Math.floor(total / scale / 60) % 60;
  const whole = Math.floor(total / scale / 3600);
  const two = (n) => String(n).padStart(2, "0");
  return `${sign}${two(whole)}:${two(minutes)}:${seconds.toFixed(digits).padStart(digits + 3, "0")}`;
}
