%% One connection through the proxy of `ram_links': two lanes, one for each direction, each with a
%% quality. What a lane holds back waits in a queue with the time at which it is due, so order is
%% kept; a full queue stops reading, as a full window would.
-module(ram_wire).

-export([forward/3]).

-define(ACTIVE, 64).
-define(QUEUE_BYTES_MAX, (4 bsl 20)).

-record(lane, {from :: gen_tcp:socket(),
               to :: gen_tcp:socket(),
               quality = open :: ram_links:quality(),
               %% Pieces and when they are due, in milliseconds of monotonic time.
               queue = queue:new() :: queue:queue({integer(), binary()}),
               bytes = 0 :: non_neg_integer(),
               carried = 0 :: non_neg_integer(),
               last_due :: integer(),
               reads = true :: boolean()}).

%% @doc Passes bytes both ways until one side closes. `Qualities' are those of the way there and the
%% way back; a message `{tuned, Qualities}' changes them.
-spec forward(gen_tcp:socket(), gen_tcp:socket(), [ram_links:quality()]) -> ok.
forward(One, Other, Qualities) ->
    Now = now_ms(),
    Lanes = [#lane{from = From, to = To, last_due = Now}
             || {From, To} <- [{One, Other}, {Other, One}]],
    [ok = inet:setopts(Socket, [{active, ?ACTIVE}]) || Socket <- [One, Other]],
    loop(tuned(Lanes, Qualities)).

loop(Lanes0) ->
    Lanes = [drained(Lane) || Lane <- Lanes0],
    receive
        {tcp, From, Bytes} -> loop(on(From, Lanes, fun(Lane) -> taken(Bytes, Lane) end));
        {tcp_passive, From} -> loop(on(From, Lanes, fun(Lane) -> Lane#lane{reads = false} end));
        {tcp_closed, _} -> ok;
        {tcp_error, _, _} -> ok;
        {tuned, Qualities} -> loop(tuned(Lanes, Qualities))
    after wait_ms(Lanes) ->
        loop(Lanes)
    end.

tuned(Lanes, Qualities) ->
    [Lane#lane{quality = Quality} || {Lane, Quality} <- lists:zip(Lanes, Qualities)].

on(From, Lanes, Change) ->
    [case Lane of #lane{from = From} -> Change(Lane); _ -> Lane end || Lane <- Lanes].

taken(_Bytes, #lane{quality = {breaks, Max}, carried = Carried}) when Carried >= Max ->
    exit(normal);
taken(Bytes, #lane{queue = Queue, last_due = Last, bytes = Held, carried = Carried} = Lane) ->
    Due = max(Last, now_ms() + delay_ms(Lane#lane.quality)),
    Lane#lane{queue = queue:in({Due, Bytes}, Queue), last_due = Due,
              bytes = Held + byte_size(Bytes),
              carried = Carried + byte_size(Bytes)}.

delay_ms({slow, Ms, MoreMs}) ->
    Ms + rand:uniform(MoreMs + 1) - 1;
delay_ms({lossy, Ms, OneOf}) ->
    rand:uniform(10 * OneOf) =:= 1 andalso exit(normal),
    case rand:uniform(OneOf) of 1 -> Ms; _ -> 0 end;
delay_ms(_) ->
    0.

%% Sends what is due, and reads on when there is room.
drained(#lane{quality = held} = Lane) ->
    Lane;
drained(#lane{queue = Queue, to = To, bytes = Held} = Lane) ->
    Now = now_ms(),
    case queue:peek(Queue) of
        {value, {Due, Bytes}} when Due =< Now ->
            send(To, Bytes),
            drained(Lane#lane{queue = queue:drop(Queue), bytes = Held - byte_size(Bytes)});
        _ ->
            reading(Lane)
    end.

reading(#lane{reads = false, bytes = Held, from = From} = Lane) when Held < ?QUEUE_BYTES_MAX ->
    case inet:setopts(From, [{active, ?ACTIVE}]) of
        ok -> Lane#lane{reads = true};
        {error, _} -> exit(normal)
    end;
reading(Lane) ->
    Lane.

wait_ms(Lanes) ->
    lists:min([wait_of(Lane) || Lane <- Lanes]).

wait_of(#lane{quality = held}) ->
    infinity;
wait_of(#lane{queue = Queue}) ->
    case queue:peek(Queue) of
        {value, {Due, _}} -> max(0, Due - now_ms());
        empty -> infinity
    end.

send(Socket, Bytes) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> ok;
        {error, _} -> exit(normal)
    end.

now_ms() ->
    erlang:monotonic_time(millisecond).
