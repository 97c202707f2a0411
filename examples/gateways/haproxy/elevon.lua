-- Asks Elevon about a request, by HEAD, with the client's headers and what the request is for. `txn.elevon` is then 200 (allowed), 401 or 403;
-- whatever goes wrong is 503, and never allowed.

local URL = "http://127.0.0.1:8181/gateway/haproxy"
local IDENTITY = { "x-elevon-principal", "x-elevon-role", "x-elevon-activation", "x-elevon-until" }
-- What is of the connection, and what only a gateway may say.
local NOT_PASSED_ON = {
    ["connection"] = true,
    ["content-length"] = true,
    ["transfer-encoding"] = true,
    ["host"] = true,
    ["expect"] = true,
    ["upgrade"] = true,
    ["elevon-principal"] = true,
    ["x-forwarded-client-cert"] = true,
    ["x-original-method"] = true,
    ["x-original-host"] = true,
    ["x-original-uri"] = true,
}

core.register_action("elevon", { "http-req" }, function(txn)
    txn:set_var("txn.elevon", 503)
    local asked = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_PASSED_ON[name] then
            local lines = {}
            for place = 0, #values do
                lines[#lines + 1] = values[place]
            end
            asked[name] = lines
        end
    end
    asked["x-original-method"] = { txn.sf:method() }
    asked["x-original-host"] = { txn.sf:req_hdr("host") }
    asked["x-original-uri"] = { txn.sf:pathq() }

    local answer = core.httpclient():head({ url = URL, headers = asked, timeout = 2000 })
    if not answer then
        return
    end
    if answer.status == 401 or answer.status == 403 then
        txn:set_var("txn.elevon", answer.status)
        return
    end
    if answer.status ~= 200 then
        return
    end
    -- each of them, always: what is set here takes the place of what the client sent
    local said = {}
    for name, values in pairs(answer.headers) do
        said[string.lower(name)] = values[0] or values[1]
    end
    for _, name in ipairs(IDENTITY) do
        if not said[name] then
            return
        end
        txn.http:req_set_header(name, said[name])
    end
    txn:set_var("txn.elevon", 200)
end)
