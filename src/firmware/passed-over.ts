/** A search gives up after so many versions without firmware. */
export const MAX_PASSED_OVER = 20;
