// Pages and pictures for people are a module of their own, without packages, so that they are not downloaded with the
// library.
module github.com/workerchannel/workerchannel/docs

go 1.26
