// One image in a pane: tiles in a look, and the view on them in FITS pixels.

import { fromLibrary, toLibrary } from "./geometry.js";

const DURATION = 0.25;

// The library would write a style into the page, which the policy of the site forbids, unless it finds its own there:
// this is an element of that name without any effect.
const mark = document.createElementNS("urn:awe", "style");
mark.setAttribute("data-openseadragon-mobile-css", "true");
document.head.append(mark);

export class Frame {
  constructor(pane, facts, look) {
    this.facts = facts;
    this.pane = pane;
    this.look = look;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.viewer = new OpenSeadragon({
      element: pane,
      tileSources: this.source(look),
      drawer: "canvas",
      imageSmoothingEnabled: false,
      showNavigationControl: false,
      maxZoomPixelRatio: 64,
      minZoomImageRatio: 0.3,
      visibilityRatio: 0.2,
      animationTime: still ? 0 : DURATION,
      imageLoaderLimit: 4,
      tileRetryMax: 4,
      tileRetryDelay: 800,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    });
    // Larger pixels stay squares; smaller ones are averaged, lest faint lines vanish.
    this.viewer.addHandler("zoom", () => {
      const smooth = this.zoom < 1;
      if (smooth !== this.smooth) this.viewer.drawer.setImageSmoothingEnabled((this.smooth = smooth));
    });
    this.viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; });
    this.viewer.innerTracker.keyHandler = null;
    this.viewer.innerTracker.keyDownHandler = null;
  }

  source(look) {
    const { object_id, nx, ny, tile, last_level, rgb_tiles, rgb_query } = this.facts;
    const colours = look.plane === "rgb" && rgb_tiles;
    const plane = this.facts.planes.includes(look.plane) ? look.plane : "image";
    const settings = [plane, look.stretch, look.cuts, look.cmap, look.invert].map(encodeURIComponent).join("~");
    return {
      width: nx,
      height: ny,
      tileSize: tile,
      minLevel: 0,
      maxLevel: last_level,
      getTileUrl: (level, x, y) => {
        const place = `${last_level - level}/${x}_${y}`;
        return colours
          ? `${rgb_tiles}/${place}.jpg?${rgb_query}`
          : `/imageview/${object_id}/tiles/${settings}/${place}.png`;
      },
    };
  }

  // Shows the image in another look; the old one stays until the new one is there.
  show(look) {
    this.look = look;
    const world = this.viewer.world;
    const before = Array.from({ length: world.getItemCount() }, (_, i) => world.getItemAt(i));
    this.viewer.addTiledImage({
      tileSource: this.source(look),
      success: ({ item }) => {
        const drop = () => before.forEach((old) => world.getIndexOfItem(old) >= 0 && world.removeItem(old));
        if (item.getFullyLoaded()) drop();
        else item.addOnceHandler("fully-loaded-change", drop);
      },
    });
  }

  ready(act) {
    if (this.viewer.world.getItemCount()) act();
    else this.viewer.addOnceHandler("open", act);
  }

  get width() {
    return this.viewer.viewport.getContainerSize().x;
  }

  // Pixels of the screen for each of the image.
  get zoom() {
    return (this.viewer.viewport.getZoom(true) * this.width) / this.facts.nx;
  }

  get centre() {
    return fromLibrary(this.facts, this.viewer.viewport.getCenter(true));
  }

  go({ x, y, zoom }, at_once = false) {
    const viewport = this.viewer.viewport;
    if (zoom) viewport.zoomTo((zoom * this.facts.nx) / this.width, null, at_once);
    if (x !== null && x !== undefined) {
      const { x: u, y: v } = toLibrary(this.facts, x, y);
      viewport.panTo(new OpenSeadragon.Point(u, v), at_once);
    }
    viewport.applyConstraints(at_once);
  }

  whole() {
    this.viewer.viewport.goHome();
  }

  at(pixel) {
    const viewport = this.viewer.viewport;
    const x = viewport.getFlip() ? this.width - pixel.x : pixel.x;
    return fromLibrary(this.facts, viewport.viewerElementToViewportCoordinates(new OpenSeadragon.Point(x, pixel.y)));
  }

  onScreen(x, y) {
    const { x: u, y: v } = toLibrary(this.facts, x, y);
    const viewport = this.viewer.viewport;
    const point = viewport.viewportToViewerElementCoordinates(new OpenSeadragon.Point(u, v));
    return { x: viewport.getFlip() ? this.width - point.x : point.x, y: point.y };
  }

  // Edges of what is seen, in FITS pixels, cut off at the image.
  seen() {
    const size = this.viewer.viewport.getContainerSize();
    const corners = [[0, 0], [size.x, 0], [0, size.y], [size.x, size.y]].map(([x, y]) => this.at({ x, y }));
    const xs = corners.map((c) => c.x), ys = corners.map((c) => c.y);
    const hold = (v, most) => Math.min(Math.max(v, 0.5), most + 0.5);
    return {
      x1: hold(Math.min(...xs), this.facts.nx), x2: hold(Math.max(...xs), this.facts.nx),
      y1: hold(Math.min(...ys), this.facts.ny), y2: hold(Math.max(...ys), this.facts.ny),
    };
  }

  // Side of the blocks of pixels that the tiles now drawn are means of.
  get binning() {
    const item = this.viewer.world.getItemAt(this.viewer.world.getItemCount() - 1);
    const drawn = item ? item.getTilesToDraw().map((t) => t.tile.level) : [];
    return 2 ** (this.facts.last_level - (drawn.length ? Math.max(...drawn) : this.facts.last_level));
  }
}
