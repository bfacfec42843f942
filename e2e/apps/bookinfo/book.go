package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

type product struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"descriptionHtml"`
}

// products is the catalogue: one book, in the public domain.
var products = []product{{
	ID:    0,
	Title: "The Comedy of Errors",
	Description: "Two pairs of twins, parted by a shipwreck, walk the same town on the same day without knowing of each other. " +
		"Servants are beaten for what their doubles did, a wife dines with a stranger, a goldsmith wants his money. " +
		"Among the first of Shakespeare's plays and the shortest of them.",
}}

type bookDetails struct {
	ID        int    `json:"id"`
	Author    string `json:"author"`
	Year      int    `json:"year"`
	Type      string `json:"type"`
	Pages     int    `json:"pages"`
	Publisher string `json:"publisher"`
	Language  string `json:"language"`
	ISBN10    string `json:"ISBN-10"`
	ISBN13    string `json:"ISBN-13"`
}

type review struct {
	Reviewer string  `json:"reviewer"`
	Text     string  `json:"text"`
	Rating   *rating `json:"rating,omitempty"`
}

// rating is stars in a colour, or why there are none.
type rating struct {
	Stars int    `json:"stars,omitempty"`
	Color string `json:"color,omitempty"`
	Error string `json:"error,omitempty"`
}

type bookReviews struct {
	ID          string   `json:"id"`
	PodName     string   `json:"podname"`
	ClusterName string   `json:"clustername"`
	Version     string   `json:"version"`
	Reviews     []review `json:"reviews"`
}

type bookRatings struct {
	ID      int            `json:"id"`
	Ratings map[string]int `json:"ratings"`
}

// stars is the colour of each version of reviews; v1 does not call ratings.
var stars = map[string]string{"v1": "", "v2": "black", "v3": "red"}

func (s *service) details(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "please provide numeric product ID")
		return
	}
	reply(w, http.StatusOK, bookDetails{
		ID: id, Author: "William Shakespeare", Year: 1595, Type: "paperback", Pages: 200, Publisher: "PublisherA",
		Language: "English", ISBN10: "1234567890", ISBN13: "123-1234567890",
	})
}

// reviews also answers when ratings fails: the page then has no stars.
func (s *service) reviews(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "please provide numeric product ID")
		return
	}
	answer := bookReviews{ID: strconv.Itoa(id), PodName: s.pod, Version: s.version, Reviews: []review{
		{Reviewer: "Reviewer1", Text: "Mistaken identities at such a pace that one has to laugh. A fine evening."},
		{Reviewer: "Reviewer2", Text: "Slight next to the later plays, yet nobody leaves before the twins meet."},
	}}
	if color := stars[s.version]; color != "" {
		s.rate(r, id, color, answer.Reviews)
	}
	reply(w, http.StatusOK, answer)
}

func (s *service) rate(r *http.Request, id int, color string, reviews []review) {
	var found bookRatings
	if _, err := s.call(r.Context(), r, "ratings", "/ratings/"+strconv.Itoa(id), &found); err != nil {
		s.logger.Warn("reviews have no stars", "error", err)
		for i := range reviews {
			reviews[i].Rating = &rating{Error: "Ratings service is currently unavailable"}
		}
		return
	}
	for i := range reviews {
		if n, ok := found.Ratings[reviews[i].Reviewer]; ok {
			reviews[i].Rating = &rating{Stars: n, Color: color}
		}
	}
}

// ratingStore holds the ratings of reviewers in memory.
type ratingStore struct {
	mu     sync.Mutex
	byBook map[int]map[string]int
}

// maxBooks bounds the store, which any client can fill.
const maxBooks = 1000

func newRatings() *ratingStore { return &ratingStore{byBook: map[int]map[string]int{}} }

func (s *ratingStore) get(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "please provide numeric product ID")
		return
	}
	s.mu.Lock()
	given, ok := s.byBook[id]
	s.mu.Unlock()
	if !ok {
		given = map[string]int{"Reviewer1": 5, "Reviewer2": 4}
	}
	reply(w, http.StatusOK, bookRatings{ID: id, Ratings: given})
}

// post replaces the ratings of a book.
func (s *ratingStore) post(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "please provide numeric product ID")
		return
	}
	var given map[string]int
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&given); err != nil {
		refuse(w, http.StatusBadRequest, "please provide valid ratings JSON")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byBook[id]; !known && len(s.byBook) >= maxBooks {
		refuse(w, http.StatusInsufficientStorage, "too many products")
		return
	}
	s.byBook[id] = given
	reply(w, http.StatusOK, bookRatings{ID: id, Ratings: given})
}
