%% The application: starts the supervisor, which starts the rest.
-module(ram_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case ram_config:read() of
        {ok, Config} -> ram_sup:start_link(Config);
        {error, Reason} -> {error, Reason}
    end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
